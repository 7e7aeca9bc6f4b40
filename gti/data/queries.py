"""Text queries with graded relevance: the data of the retrieval track.

How they are made is said by a rule, a module each: `gti.data.item_texts` asks for items that are
all trained on, `gti.data.warm_cold_new` also for items that are not. What rules share stands here:
words, which items hold them, and which combinations of words are taken.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gti.data.dataset import HELD_OUT, Dataset, IntArray

GOOD, MAYBE = 2, 1
"""The two grades of relevance."""

MAX_ATTEMPTS = 50
"""Draws of words for one query, until a combination is found that is not taken."""

PARTS = ("train", *HELD_OUT)
STRIPPED = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~“”‘’«»¡¿…–—"


@dataclass(frozen=True)
class Query:
    """One text query.

    Attributes:
        key: unique name: `item/ITEM-ID/NUMBER` or `category/TEXT`.
        text: what the searcher typed.
        answers: items that the training stream pairs it with, int64.
        good: items of grade 2, ascending, int64; never empty.
        maybe: items of grade 1, ascending, int64; none of them in `good`.
    """

    key: str
    text: str
    answers: IntArray
    good: IntArray
    maybe: IntArray

    @property
    def relevant(self) -> IntArray:
        """[relevant] all relevant items, the good ones first."""
        return np.concatenate([self.good, self.maybe])

    @property
    def grades(self) -> IntArray:
        """[relevant] grades of `relevant`."""
        return np.repeat(np.array([GOOD, MAYBE]), [len(self.good), len(self.maybe)])


@dataclass(frozen=True)
class QuerySet:
    """All queries of a dataset under one rule.

    Attributes:
        train: queries of the training stream.
        validation: held-out queries.
        test: held-out queries.
        redrawn: known-item queries that had to be drawn more than once.
        dropped: known-item queries for which no free combination of words was found.
        kinds: [num_items] how much is shown of each item ("warm", "cold", "new" or "untitled", by
            `gti.data.warm_cold_new`); null where all that an item has may be shown.
    """

    train: tuple[Query, ...]
    validation: tuple[Query, ...]
    test: tuple[Query, ...]
    redrawn: int
    dropped: int
    kinds: tuple[str, ...] | None = None

    @property
    def shown(self) -> IntArray | None:
        """Items that pairs and tasks may show, warm and cold ones, ascending; null: all items."""
        if self.kinds is None:
            return None
        return np.flatnonzero(np.isin(self.kinds, ["warm", "cold"])).astype(np.int64)

    def of(self, part: str) -> tuple[Query, ...]:
        """The queries of `part` ("train", "validation" or "test")."""
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; expected one of {', '.join(PARTS)}")
        found: tuple[Query, ...] = getattr(self, part)
        return found

    def pairs(self) -> Iterator[tuple[str, int]]:
        """One pass of the training stream: (text, item)."""
        for query in self.train:
            for item in query.answers:
                yield query.text, int(item)

    def popularity(self, num_items: int) -> IntArray:
        """[num_items] training queries that each item is good for."""
        good = [query.good for query in self.train]
        return np.bincount(np.concatenate(good), minlength=num_items).astype(np.int64)

    @cached_property
    def sha256(self) -> str:
        """Content hash: keys, texts and relevant items of all parts, and the kinds of items."""
        digest = hashlib.sha256()
        for part in PARTS:
            for query in self.of(part):
                arrays = [query.answers.tolist(), query.good.tolist(), query.maybe.tolist()]
                content = [part, query.key, query.text, *arrays]
                digest.update(json.dumps(content, ensure_ascii=False).encode() + b"\n")
        if self.kinds is not None:
            digest.update(json.dumps(self.kinds).encode())
        return digest.hexdigest()


def words_of(text: str) -> tuple[str, ...]:
    """The distinct words of `text`, lower-cased, in order of their first place."""
    found = (word.strip(STRIPPED) for word in text.lower().split())
    return tuple(dict.fromkeys(word for word in found if word))


def hashed_number(*parts: object) -> int:
    """A number from the sha256 of `parts`, the same on every machine."""
    digest = hashlib.sha256("\t".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def draw_words(
    words: Sequence[str], size: int, key: Sequence[object], *sure: str
) -> tuple[str, ...]:
    """`size` of the distinct `words`, `sure` among them, in their order; drawn by hash of `key`."""
    others = (word for word in words if word not in sure)
    drawn = sorted(others, key=lambda word: hashed_number(*key, "word", word))
    chosen = {*sure, *drawn[: size - len(sure)]}
    return tuple(word for word in words if word in chosen)


class TextIndex:
    """Which items have which words.

    Args:
        dataset: the items.
        fields: whose words count, title first.
    """

    def __init__(self, dataset: Dataset, fields: Sequence[str]) -> None:
        texts = (" ".join(text[f] for f in fields if text.get(f)) for text in dataset.texts)
        self.words = [words_of(text) for text in texts]
        lists: defaultdict[str, list[int]] = defaultdict(list)
        for item, words in enumerate(self.words):
            for word in words:
                lists[word].append(item)
        self.items = {word: np.array(items, dtype=np.int64) for word, items in lists.items()}
        self._sets = {word: set(items) for word, items in lists.items()}

    def holding(self, words: Iterable[str]) -> IntArray:
        """Items whose words contain all of `words`, ascending."""
        found = set.intersection(*sorted((self._sets[word] for word in words), key=len))
        return np.array(sorted(found), dtype=np.int64)


class Taken:
    """Which combinations of words are trained on, and which are held out.

    Attributes:
        redrawn: queries that had to be drawn more than once.
        dropped: queries for which no free combination of words was found.
    """

    def __init__(self) -> None:
        self.trained: set[frozenset[str]] = set()
        self.held_out: set[frozenset[str]] = set()
        self.redrawn = self.dropped = 0

    def note(self, part: str, words: Iterable[str]) -> None:
        """Takes the combination `words` for `part`."""
        (self.trained if part == "train" else self.held_out).add(frozenset(words))

    def first_free(
        self, part: str, draws: Iterable[tuple[str, ...]], own: set[frozenset[str]]
    ) -> tuple[str, ...] | None:
        """The first of `draws` that is free, and now taken; null where none is.

        Taken is, for training, what is held out and what the item itself has (`own`); for the
        held-out parts, what any query has.
        """
        taken = own if part == "train" else self.trained
        for attempt, found in enumerate(draws):
            combination = frozenset(found)
            if combination not in taken and combination not in self.held_out:
                self.redrawn += attempt > 0
                own.add(combination)
                self.note(part, combination)
                return found
        self.dropped += 1
        return None


def same_category(dataset: Dataset, fields: Sequence[str]) -> list[IntArray]:
    """[num_items] items with the very same text in all `fields`, where an item has them all."""
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    keys: list[tuple[str, ...] | None] = []
    for item, texts in enumerate(dataset.texts):
        values = tuple(texts.get(field, "") for field in fields)
        keys.append(values if values and all(values) else None)
        groups[values].append(item)
    arrays = {key: np.array(items, dtype=np.int64) for key, items in groups.items()}
    nothing = np.empty(0, dtype=np.int64)
    return [nothing if key is None else arrays[key] for key in keys]
