"""Text queries made from item texts, with graded relevance: the data of the retrieval track.

The rule "item_texts". An item's words are those of its title and detail fields, lower-cased, cut
at white space, punctuation at their ends stripped, repeats left out, in order.

*Known-item queries*, `per_item` for each item with a title: 2 to `words` of its words (the number
drawn, as many as there are), one of them drawn from the title, in the order of the text. Draws
are sha256 of (item id, query number, attempt), so they are the same on every machine. The last
query of an item is for testing, the last but one for validation, the others for training: every
item is trained on, and every held-out query is a combination of words that no training query and
no other held-out query of any item has; a draw that is taken already is drawn again, up to
`MAX_ATTEMPTS` times, then dropped and counted. Good (grade 2): the known item and every item
whose words contain the query's. Maybe (grade 1): other items with the known item's very text in
all `category_fields`.

*Category queries*, where `category_fields` are given: every combination of one value (values are
separated by commas) of each of these fields that an item has, as "comedy 1995". A tenth is for
testing, a tenth for validation, by sha256 of the query. Good: items with all the values. Maybe:
other items with the first field's value.

The training stream pairs a known-item query with its item, a category query with each good item.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from gti.data.dataset import HELD_OUT, DataError, Dataset, IntArray

GOOD, MAYBE = 2, 1
"""The two grades of relevance."""

MAX_ATTEMPTS = 50
SHARES = {0: "test", 1: "validation"}
"""Tenth of the hashed category queries → part; the others are for training."""

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
    """

    train: tuple[Query, ...]
    validation: tuple[Query, ...]
    test: tuple[Query, ...]
    redrawn: int
    dropped: int

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
        """Content hash: keys, texts and relevant items of all parts, in order."""
        digest = hashlib.sha256()
        for part in PARTS:
            for query in self.of(part):
                arrays = [query.answers.tolist(), query.good.tolist(), query.maybe.tolist()]
                content = [part, query.key, query.text, *arrays]
                digest.update(json.dumps(content, ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()


def words_of(text: str) -> tuple[str, ...]:
    """The distinct words of `text`, lower-cased, in order of their first place."""
    found = (word.strip(STRIPPED) for word in text.lower().split())
    return tuple(dict.fromkeys(word for word in found if word))


def _number(*parts: object) -> int:
    """A number from the sha256 of `parts`, the same on every machine."""
    digest = hashlib.sha256("\t".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


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


class _Drawer:
    """Draws known-item queries, and remembers which combinations of words are taken."""

    def __init__(self, words: int) -> None:
        self.most = words
        self.trained: set[frozenset[str]] = set()
        self.held_out: set[frozenset[str]] = set()
        self.redrawn = self.dropped = 0

    def _once(
        self, item_id: str, number: int, attempt: int, title: Sequence[str], words: Sequence[str]
    ) -> tuple[str, ...]:
        """One draw of words from `words`, one of them from `title`, in order of the text."""
        key = (item_id, number, attempt)
        size = min(2 + _number(*key, "size") % max(1, self.most - 1), self.most, len(words))
        first = title[_number(*key, "title") % len(title)]
        rest = sorted((w for w in words if w != first), key=lambda w: _number(*key, "word", w))
        chosen = {first, *rest[: size - 1]}
        return tuple(word for word in words if word in chosen)

    def draw(
        self,
        item_id: str,
        number: int,
        part: str,
        title: Sequence[str],
        words: Sequence[str],
        own: set[frozenset[str]],
    ) -> tuple[str, ...] | None:
        """A free combination for query `number` of an item; null where none was found.

        Taken is, for training, what is held out and what the item itself has (`own`); for the
        held-out parts, what any query has.
        """
        taken = own if part == "train" else self.trained
        for attempt in range(MAX_ATTEMPTS):
            found = self._once(item_id, number, attempt, title, words)
            combination = frozenset(found)
            if combination not in taken and combination not in self.held_out:
                self.redrawn += attempt > 0
                own.add(combination)
                (self.trained if part == "train" else self.held_out).add(combination)
                return found
        self.dropped += 1
        return None


def _values(text: str) -> tuple[str, ...]:
    """The values of a category field: separated by commas, lower-cased, white space tidied."""
    found = (" ".join(value.lower().split()) for value in text.split(","))
    return tuple(dict.fromkeys(value for value in found if value))


def _category_queries(dataset: Dataset, fields: Sequence[str]) -> Iterator[tuple[str, Query]]:
    """(part, query) for each combination of values that an item has, in order of the items."""
    if not fields:
        return
    good: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    main: defaultdict[str, list[int]] = defaultdict(list)
    for item, texts in enumerate(dataset.texts):
        values = [_values(texts.get(field, "")) for field in fields]
        for combination in product(*values):
            good[combination].append(item)
        for value in values[0]:
            main[value].append(item)
    for combination, items in good.items():
        text = " ".join(combination)
        part = SHARES.get(_number("category", text) % 10, "train")
        found = np.array(items, dtype=np.int64)
        maybe = np.setdiff1d(np.array(main[combination[0]], dtype=np.int64), found)
        yield part, Query(f"category/{text}", text, found, found, maybe)


def _same_category(dataset: Dataset, fields: Sequence[str]) -> list[IntArray]:
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


def _rounds(per_item: int) -> list[tuple[int, str]]:
    """(query number, part) in the order of drawing.

    The first training query comes first, so that every item has one; then the held-out ones, so
    that an item with few words is tested too; then what is left for training.
    """
    parts = {per_item - 1: "test", per_item - 2: "validation"}
    order = [0, per_item - 1, per_item - 2, *range(1, per_item - 2)]
    return [(number, parts.get(number, "train")) for number in order]


def make_queries(
    dataset: Dataset,
    *,
    title_field: str,
    detail_fields: Sequence[str],
    category_fields: Sequence[str],
    per_item: int,
    words: int,
) -> QuerySet:
    """Makes the queries of `dataset` by the rule above.

    Args:
        dataset: items and texts; its histories are not read.
        title_field: field that is the item's title.
        detail_fields: further fields whose words queries may hold.
        category_fields: fields whose values make category queries, the main one first.
        per_item: known-item queries per item, at least 3.
        words: words in a known-item query at most, at least 2.

    Raises:
        DataError: no query can be made for some part.
    """
    if per_item < 3 or words < 2:
        raise ValueError(f"expected per_item >= 3 and words >= 2, found {per_item} and {words}")
    index = TextIndex(dataset, (title_field, *detail_fields))
    drawer = _Drawer(words)
    found: dict[str, list[Query]] = {part: [] for part in PARTS}
    for part, query in _category_queries(dataset, category_fields):
        found[part].append(query)
        taken = drawer.trained if part == "train" else drawer.held_out
        taken.add(frozenset(words_of(query.text)))
    known = _known_items(dataset, index, drawer, title_field, category_fields, per_item)
    for part in PARTS:
        found[part] = [*known[part], *found[part]]
        if not found[part]:
            raise DataError(
                f"dataset {dataset.name}: no query for {part}; items need texts in the field"
                f" {title_field!r} with at least two words between title and details"
            )
    parts = {part: tuple(queries) for part, queries in found.items()}
    return QuerySet(**parts, redrawn=drawer.redrawn, dropped=drawer.dropped)


def _known_items(
    dataset: Dataset,
    index: TextIndex,
    drawer: _Drawer,
    title_field: str,
    category_fields: Sequence[str],
    per_item: int,
) -> Mapping[str, list[Query]]:
    """The known-item queries of all parts, drawn round by round over the items."""
    titles = [words_of(texts.get(title_field, "")) for texts in dataset.texts]
    alike = _same_category(dataset, category_fields)
    own: list[set[frozenset[str]]] = [set() for _ in titles]
    found: dict[str, list[Query]] = {part: [] for part in PARTS}
    for number, part in _rounds(per_item):
        for item, title in enumerate(titles):
            if not title:
                continue
            item_id = dataset.item_ids[item]
            drawn = drawer.draw(item_id, number, part, title, index.words[item], own[item])
            if drawn is None:
                continue
            good = index.holding(drawn)
            maybe = np.setdiff1d(alike[item], good)
            key = f"item/{item_id}/{number}"
            answers = np.array([item], dtype=np.int64)
            found[part].append(Query(key, " ".join(drawn), answers, good, maybe))
    return found
