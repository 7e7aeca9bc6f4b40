"""The query rule: hand-computed on five items, and what must hold for any data."""

import hashlib
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.data.dataset import DataError, Dataset, Provenance
from gti.data.item_texts import make_queries
from gti.data.queries import PARTS, QuerySet, TextIndex, words_of

FIVE = (
    {"title": "Red Moon", "kind": "Comedy, War", "year": "1995"},
    {"title": "Red Sun", "kind": "Comedy", "year": "1995"},
    {"title": "Blue Sun", "kind": "Comedy", "year": "1996"},
    {"title": "Moon, the (Red!) Moon", "kind": "Comedy, War", "year": "1995"},
    {"kind": "Comedy", "year": "1995"},
)


def dataset_of(texts: Any) -> Dataset:
    return Dataset(
        name="test",
        item_ids=tuple(f"i{number}" for number in range(len(texts))),
        texts=tuple(texts),
        user_ids=("u",),
        histories=(np.arange(3),),
        tied_last=None,
        provenance=Provenance("a test", "none", {}),
    )


def queries_of(texts: Any, per_item: int = 3, words: int = 3, **changes: Any) -> QuerySet:
    fields: dict[str, Any] = {
        "title_field": "title",
        "detail_fields": ("kind", "year"),
        "category_fields": ("kind", "year"),
    }
    made = {**fields, "per_item": per_item, "words": words, **changes}
    return make_queries(dataset_of(texts), **made)


def everything(found: QuerySet) -> dict[str, tuple[str, str, list[int], list[int], list[int]]]:
    items = ("answers", "good", "maybe")
    return {
        query.key: (part, query.text, *(getattr(query, name).tolist() for name in items))
        for part in PARTS
        for query in found.of(part)
    }


def number(*parts: object) -> int:
    return int(hashlib.sha256("\t".join(map(str, parts)).encode()).hexdigest()[:16], 16)


def test_words_are_lower_case_distinct_and_without_punctuation_at_their_ends() -> None:
    assert words_of("Moon, the (Red!) MOON — sci-fi Children's") == (
        "moon", "the", "red", "sci-fi", "children's"
    )  # fmt: skip
    assert words_of(" … & ") == ()


def test_category_queries_by_hand() -> None:
    found = everything(queries_of(FIVE))
    categories = {key: value[1:] for key, value in found.items() if key.startswith("category/")}
    # Items 0, 1, 3, 4 are comedies of 1995; item 2 is a comedy of another year; 0 and 3 are war.
    assert categories == {
        "category/comedy 1995": ("comedy 1995", [0, 1, 3, 4], [0, 1, 3, 4], [2]),
        "category/war 1995": ("war 1995", [0, 3], [0, 3], []),
        "category/comedy 1996": ("comedy 1996", [2], [2], [0, 1, 3, 4]),
    }
    for key, (part, text, *_) in found.items():
        if key.startswith("category/"):
            tenth = number("category", text) % 10
            assert part == {0: "test", 1: "validation"}.get(tenth, "train")


def test_known_item_queries_by_hand() -> None:
    found = everything(queries_of(FIVE))
    known = {key: value for key, value in found.items() if key.startswith("item/")}
    # Item 4 has no title; query 2 is the last (test), query 1 the last but one.
    assert sorted(known) == [f"item/i{item}/{draw}" for item in range(4) for draw in range(3)]
    assert {value[0] for key, value in known.items() if key.endswith("/2")} == {"test"}
    assert {value[0] for key, value in known.items() if key.endswith("/1")} == {"validation"}
    # What each combination of words is good for, read off the five texts.
    words = [
        {"red", "moon", "comedy", "war", "1995"},
        {"red", "sun", "comedy", "1995"},
        {"blue", "sun", "comedy", "1996"},
        {"moon", "the", "red", "comedy", "war", "1995"},
        {"comedy", "1995"},
    ]
    alike = {0: {0, 3}, 1: {1, 4}, 2: {2}, 3: {0, 3}}
    titles = [{"red", "moon"}, {"red", "sun"}, {"blue", "sun"}, {"moon", "the", "red"}]
    for key, (_, text, answers, good, maybe) in known.items():
        item, asked = int(key[6]), text.split()
        assert 2 <= len(asked) <= 3
        assert set(asked) & titles[item]
        assert answers == [item]
        assert good == [i for i in range(5) if set(asked) <= words[i]]
        assert maybe == sorted(alike[item] - set(good))


def test_the_first_draw_is_what_the_rule_says() -> None:
    # Query 0 of item 0 is drawn first of all, so nothing but category queries can be in its way.
    words, title = ["red", "moon", "comedy", "war", "1995"], ["red", "moon"]
    size = 2 + number("i0", 0, 0, "size") % 2
    first = title[number("i0", 0, 0, "title") % 2]
    rest = sorted(set(words) - {first}, key=lambda word: number("i0", 0, 0, "word", word))
    chosen = {first, *rest[: size - 1]}
    expected = " ".join(word for word in words if word in chosen)
    assert everything(queries_of(FIVE))["item/i0/0"][1] == expected


def test_an_item_with_few_words_is_trained_on_first_then_tested() -> None:
    two = [{"title": "alone", "kind": "war"}, {"title": "red blue moon sun", "kind": "war"}]
    found = queries_of(two, per_item=4, words=2, category_fields=())
    mine = {key: value[0] for key, value in everything(found).items() if key.startswith("item/i0")}
    assert mine == {"item/i0/0": "train"}  # {alone, war} is all there is
    assert found.dropped == 3


WORDS = st.sampled_from(["red", "blue", "moon", "sun", "the", "old", "new", "war"])
ITEM = st.fixed_dictionaries(
    {
        "title": st.lists(WORDS, min_size=1, max_size=4).map(" ".join),
        "kind": st.sampled_from(["comedy", "war", "comedy, war"]),
        "year": st.sampled_from(["1995", "1996", "1997"]),
    }
)
ITEMS = st.lists(ITEM, min_size=8, max_size=16).map(
    # One word of its own for each, so that every item has combinations to spare.
    lambda items: [{**text, "title": f"{text['title']} n{i}"} for i, text in enumerate(items)]
)


@settings(deadline=None, max_examples=40)
@given(ITEMS, st.integers(3, 6), st.integers(2, 4))
def test_no_two_parts_share_a_combination_of_words(texts: Any, per_item: int, words: int) -> None:
    found = queries_of(texts, per_item, words)
    combos = [{frozenset(words_of(query.text)) for query in found.of(part)} for part in PARTS]
    for one, other in combinations(combos, 2):
        assert not one & other
    for part in ("validation", "test"):
        assert len({frozenset(words_of(q.text)) for q in found.of(part)}) == len(found.of(part))


@settings(deadline=None, max_examples=40)
@given(ITEMS, st.integers(3, 6))
def test_grades_hold_for_any_data(texts: Any, per_item: int) -> None:
    found = queries_of(texts, per_item)
    every = [set(words_of(" ".join(text.values()))) for text in texts]
    total = 0
    for part in PARTS:
        for query in found.of(part):
            asked = set(words_of(query.text))
            assert len(query.good)
            assert not set(query.good) & set(query.maybe)
            assert query.grades.tolist() == [2] * len(query.good) + [1] * len(query.maybe)
            assert all(a < b for a, b in pairwise(query.good.tolist()))
            assert set(query.answers) <= set(query.good)
            assert all(asked <= every[item] for item in query.good)
            total += query.key.startswith("item/")
    assert total + found.dropped == len(texts) * per_item
    pairs = list(found.pairs())
    assert len(pairs) == sum(len(query.answers) for query in found.train)


def test_the_queries_depend_on_ids_and_texts_alone() -> None:
    one, again = queries_of(FIVE), queries_of(FIVE)
    assert one.sha256 == again.sha256
    assert queries_of(FIVE, words=2).sha256 != one.sha256
    changed = ({**FIVE[0], "title": "Red Mood"}, *FIVE[1:])
    assert queries_of(changed).sha256 != one.sha256


def test_popularity_counts_the_training_queries_an_item_is_good_for() -> None:
    found = queries_of(FIVE)
    expected = [sum(item in query.good for query in found.train) for item in range(5)]
    assert found.popularity(5).tolist() == expected


def test_the_index_finds_items_that_hold_all_words() -> None:
    index = TextIndex(dataset_of(FIVE), ("title", "year"))
    assert index.holding(["moon", "1995"]).tolist() == [0, 3]
    assert index.holding(["sun"]).tolist() == [1, 2]
    assert index.holding(["sun", "moon"]).tolist() == []


def test_data_without_titles_is_refused_with_the_field() -> None:
    with pytest.raises(DataError, match="'name' with at least two words"):
        queries_of(FIVE, title_field="name", category_fields=())


@pytest.mark.parametrize(("per_item", "words"), [(2, 3), (3, 1)])
def test_a_rule_that_cannot_split_is_refused(per_item: int, words: int) -> None:
    with pytest.raises(ValueError, match="expected per_item"):
        queries_of(FIVE, per_item, words)
