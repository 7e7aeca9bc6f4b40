"""The query rule "item_texts": every item is trained on, other words of its texts are held out.

An item's words are those of its title and detail fields, lower-cased, cut at white space,
punctuation at their ends stripped, repeats left out, in order.

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

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from gti.data.dataset import DataError, Dataset
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

SHARES = {0: "test", 1: "validation"}
"""Tenth of the hashed category queries → part; the others are for training."""


def _draws(
    item_id: str, number: int, title: Sequence[str], words: Sequence[str], most: int
) -> Iterator[tuple[str, ...]]:
    """Draws of up to `most` of `words`, one of them of `title`, in the order of the text."""
    for attempt in range(MAX_ATTEMPTS):
        key = (item_id, number, attempt)
        size = min(2 + hashed_number(*key, "size") % max(1, most - 1), most, len(words))
        first = title[hashed_number(*key, "title") % len(title)]
        yield draw_words(words, size, key, first)


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
        part = SHARES.get(hashed_number("category", text) % 10, "train")
        found = np.array(items, dtype=np.int64)
        maybe = np.setdiff1d(np.array(main[combination[0]], dtype=np.int64), found)
        yield part, Query(f"category/{text}", text, found, found, maybe)


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
    taken = Taken()
    found: dict[str, list[Query]] = {part: [] for part in PARTS}
    for part, query in _category_queries(dataset, category_fields):
        found[part].append(query)
        taken.note(part, words_of(query.text))
    known = _known_items(dataset, index, taken, title_field, category_fields, per_item, words)
    for part in PARTS:
        found[part] = [*known[part], *found[part]]
        if not found[part]:
            raise DataError(
                f"dataset {dataset.name}: no query for {part}; items need texts in the field"
                f" {title_field!r} with at least two words between title and details"
            )
    train, validation, test = (tuple(found[part]) for part in PARTS)
    return QuerySet(train, validation, test, taken.redrawn, taken.dropped)


def _known_items(
    dataset: Dataset,
    index: TextIndex,
    taken: Taken,
    title_field: str,
    category_fields: Sequence[str],
    per_item: int,
    words: int,
) -> Mapping[str, list[Query]]:
    """The known-item queries of all parts, drawn round by round over the items."""
    titles = [words_of(texts.get(title_field, "")) for texts in dataset.texts]
    alike = same_category(dataset, category_fields)
    own: list[set[frozenset[str]]] = [set() for _ in titles]
    found: dict[str, list[Query]] = {part: [] for part in PARTS}
    for number, part in _rounds(per_item):
        for item, title in enumerate(titles):
            if not title:
                continue
            item_id = dataset.item_ids[item]
            draws = _draws(item_id, number, title, index.words[item], words)
            drawn = taken.first_free(part, draws, own[item])
            if drawn is None:
                continue
            good = index.holding(drawn)
            maybe = np.setdiff1d(alike[item], good)
            key = f"item/{item_id}/{number}"
            answers = np.array([item], dtype=np.int64)
            found[part].append(Query(key, " ".join(drawn), answers, good, maybe))
    return found
