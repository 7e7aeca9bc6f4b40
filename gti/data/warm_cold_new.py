"""The query rule "warm_cold_new": items are asked for of which less was shown than is asked.

*Kinds of items.* Items with a title are put in order of the sha256 of their ids and cut into
shares: **warm** ones have training queries; of **cold** ones no query is trained on, but their
titles may stand in grounding pairs and alignment tasks; **new** ones stand in neither, and are only
in the catalogue and the trie. Items without a title ("untitled") are shown and asked for nowhere.

*Ways of asking.* By the **title**: two to `words` of its words (the one it has, where it has one).
By the **detail**: as many words of the detail fields that stand in no title of a warm or cold item,
nor in the item's own, and that the details of another item hold too (a word of one item is its
name). Pairs and tasks show titles only, so these words stand beside no Semantic ID in training.
By **paraphrase**: title words, at least one of them a noun, each noun replaced by a synonym that no
item's text holds (`gti.data.paraphrases`).

*Queries.* `train_per_item` by the title for each warm item. `held_out_per_item` for testing and as
many for validation, in each way, for each item: the query's key begins with kind and way, as
"new-detail/ITEM-ID/NUMBER". A held-out query is a combination of words that no training query and
no other held-out query has, and that items of its own kind alone hold; else it is drawn again, up
to `MAX_ATTEMPTS` times, then dropped and counted. Each warm item's first training query is drawn
before what is held out. Draws are sha256 of (item id, way, query number, attempt): they are the
same on every machine and for every seed of training.

*Grades.* Good: items whose words, of title and details, contain the query's, or what it
paraphrases; for training queries the warm ones of these. Maybe: other items with the known item's
very text in all `category_fields`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gti.data.dataset import DataError, Dataset, IntArray
from gti.data.paraphrases import Paraphrases
from gti.data.queries import (
    MAX_ATTEMPTS,
    PARTS,
    Query,
    QuerySet,
    Taken,
    TextIndex,
    draw_words,
    hashed_number,
    same_category,
    words_of,
)

KINDS = ("warm", "cold", "new")
UNTITLED = "untitled"
UNTRAINED = ("cold", "new")
"""Kinds of items that no query is trained on: `gti.search.peers` ranks them among their own."""


def item_kinds(
    dataset: Dataset, title_field: str, shares: tuple[float, float, float]
) -> tuple[str, ...]:
    """[num_items] the kind of each item.

    Args:
        dataset: the items.
        title_field: field that is the item's title.
        shares: of the items with a title that are warm, cold and new; they sum to 1.

    Raises:
        DataError: a share of no item.
    """
    if min(shares) < 0 or abs(math.fsum(shares) - 1) > 1e-9:
        raise ValueError(f"shares must be 0 or more and sum to 1, found {list(shares)}")
    titled = [i for i, texts in enumerate(dataset.texts) if words_of(texts.get(title_field, ""))]
    titled.sort(key=lambda item: hashed_number("kind", dataset.item_ids[item]))
    ends = [0, *(round(math.fsum(shares[: n + 1]) * len(titled)) for n in range(len(KINDS)))]
    kinds = [UNTITLED] * dataset.num_items
    for number, (kind, share) in enumerate(zip(KINDS, shares, strict=True)):
        own = titled[ends[number] : ends[number + 1]]
        if share > 0 and not own:
            raise DataError(
                f"dataset {dataset.name}: a share of {share:g} of its {len(titled)} items with a"
                f" title is no {kind} item; raise the share or take more items"
            )
        for item in own:
            kinds[item] = kind
    return tuple(kinds)


class _Maker:
    """Draws the queries of one dataset."""

    def __init__(
        self,
        dataset: Dataset,
        title_field: str,
        detail_fields: Sequence[str],
        category_fields: Sequence[str],
        kinds: Sequence[str],
        words: int,
        synonyms: Mapping[str, Sequence[str]],
    ) -> None:
        self.dataset, self.kinds, self.most = dataset, kinds, words
        self.index = TextIndex(dataset, (title_field, *detail_fields))
        self.paraphrases = Paraphrases(self.index, synonyms)
        self.alike = same_category(dataset, category_fields)
        titles = [words_of(texts.get(title_field, "")) for texts in dataset.texts]
        shown = {
            word
            for title, kind in zip(titles, kinds, strict=True)
            if kind in ("warm", "cold")
            for word in title
        }
        details = TextIndex(dataset, detail_fields)
        self.words: Mapping[str, Sequence[tuple[str, ...]]] = {
            "title": titles,
            "paraphrase": titles,
            "detail": [
                tuple(
                    word
                    for word in own
                    if word not in shown and word not in title and len(details.items[word]) > 1
                )
                for title, own in zip(titles, details.words, strict=True)
            ],
        }
        self.taken = Taken()
        self.own: list[set[frozenset[str]]] = [set() for _ in titles]

    def _draws(self, item: int, way: str, number: int, part: str) -> Iterator[tuple[str, ...]]:
        """Draws of words for one query; held-out ones that items of its kind alone hold."""
        words = self.words[way][item]
        sizes = range(min(2, len(words)), min(self.most, len(words)) + 1)
        seen: set[tuple[str, ...]] = set()
        for attempt in range(MAX_ATTEMPTS if words else 0):
            every = sum(math.comb(len(words), size) for size in sizes)
            if way != "paraphrase" and len(seen) == every:
                return
            key = (self.dataset.item_ids[item], way, number, attempt)
            found = self._drawn(way, words, key)
            if not found:
                return
            if found not in seen and (part == "train" or self._own_kind_alone(item, way, found)):
                yield found
            seen.add(found)

    def _drawn(self, way: str, words: Sequence[str], key: Sequence[object]) -> tuple[str, ...]:
        """Some of `words` in one of the ways, by hash of `key`; none where the way has none."""
        if way == "paraphrase":
            return self.paraphrases.draw(words, self.most, key)
        size = min(2 + hashed_number(*key, "size") % (self.most - 1), len(words))
        return draw_words(words, size, key)

    def _holding(self, way: str, words: Sequence[str]) -> IntArray:
        """Items that hold the query `words`, ascending."""
        if way == "paraphrase":
            return self.paraphrases.holding(words)
        return self.index.holding(words)

    def _own_kind_alone(self, item: int, way: str, words: Sequence[str]) -> bool:
        """Whether items of the kind of `item` alone hold the query `words`."""
        return all(self.kinds[i] == self.kinds[item] for i in self._holding(way, words).tolist())

    def query(self, item: int, way: str, number: int, part: str) -> Query | None:
        """Query `number` of `item`; null where no free combination of words was found."""
        kind = self.kinds[item]
        draws = self._draws(item, way, number, part)
        drawn = self.taken.first_free(part, draws, self.own[item])
        if drawn is None:
            return None
        good = np.array([i for i in self._holding(way, drawn) if self.kinds[i] == kind])
        return Query(
            f"{kind}-{way}/{self.dataset.item_ids[item]}/{number}",
            " ".join(drawn),
            answers=np.array([item], dtype=np.int64),
            good=good,
            maybe=np.setdiff1d(self.alike[item], good),
        )


def _rounds(
    ways: Sequence[str], train_per_item: int, held_out_per_item: int
) -> Iterator[tuple[int, str, str]]:
    """(query number, way, part) in the order of drawing, numbers without repeats in a way."""
    yield 0, "title", "train"
    number = train_per_item
    for _ in range(held_out_per_item):
        for part in ("test", "validation"):
            for way in ways:
                yield number, way, part
            number += 1
    for number in range(1, train_per_item):
        yield number, "title", "train"


def warm_cold_new_queries(
    dataset: Dataset,
    *,
    title_field: str,
    detail_fields: Sequence[str],
    category_fields: Sequence[str],
    shares: tuple[float, float, float],
    ways: Sequence[str],
    train_per_item: int,
    held_out_per_item: int,
    words: int,
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> QuerySet:
    """Makes the queries of `dataset` by the rule above.

    Args:
        dataset: items and texts; its histories are not read.
        title_field: field that is the item's title.
        detail_fields: fields of its details.
        category_fields: fields that items worth grade 1 have in common; none: there are no such.
        shares: of items that are warm, cold and new.
        ways: in which held-out queries ask, of "title", "detail" and "paraphrase".
        train_per_item: training queries of each warm item, at least 1.
        held_out_per_item: test queries of each item and way, and as many for validation.
        words: words in a query at most, at least 2.
        synonyms: noun → synonyms, single words in lower case; the way "paraphrase" needs them.

    Raises:
        DataError: no item, no detail text, or no query of a kind that is asked for.
    """
    if min(train_per_item, held_out_per_item) < 1 or words < 2:
        raise ValueError("expected train_per_item, held_out_per_item >= 1 and words >= 2")
    if "paraphrase" in ways and synonyms is None:
        raise ValueError("the way 'paraphrase' needs synonyms")
    if "detail" in ways and not any(t.get(f) for t in dataset.texts for f in detail_fields):
        raise DataError(
            f"dataset {dataset.name}: no item has a text in the detail fields"
            f" {list(detail_fields)}: name others, or leave 'detail' out of `ways`"
        )
    kinds = item_kinds(dataset, title_field, shares)
    maker = _Maker(
        dataset, title_field, detail_fields, category_fields, kinds, words, synonyms or {}
    )
    found: dict[str, list[Query]] = {part: [] for part in PARTS}
    for number, way, part in _rounds(ways, train_per_item, held_out_per_item):
        asked = ("warm",) if part == "train" else KINDS
        for item in range(dataset.num_items):
            query = maker.query(item, way, number, part) if kinds[item] in asked else None
            if query is not None:
                found[part].append(query)
    _check_all_kinds(dataset, kinds, ways, found)
    train, validation, test = (tuple(found[part]) for part in PARTS)
    return QuerySet(train, validation, test, maker.taken.redrawn, maker.taken.dropped, kinds)


def _check_all_kinds(
    dataset: Dataset,
    kinds: Sequence[str],
    ways: Sequence[str],
    found: Mapping[str, Sequence[Query]],
) -> None:
    """Refuses queries of which a kind of item is not asked for in a way."""
    expected = {f"{kind}-{way}" for kind in KINDS if kind in kinds for way in ways}
    for part in ("validation", "test"):
        there = {query.key.partition("/")[0] for query in found[part]}
        if missing := sorted(expected - there):
            raise DataError(
                f"dataset {dataset.name}: no query {missing[0]} for {part}: no combination of"
                " words that was free and that items of this kind alone hold; take more items or"
                " words, or leave the way out of `ways`"
            )
