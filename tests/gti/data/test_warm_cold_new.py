"""The query rule of warm, cold and new items: by hand on few items, and what holds for any data."""

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.data.dataset import DataError, Dataset, Provenance
from gti.data.queries import PARTS, Query, QuerySet, words_of
from gti.data.warm_cold_new import item_kinds, warm_cold_new_queries

FIVE = (
    {"title": "Red Moon Rising", "detail": "a tale of wolves, told at night"},
    {"title": "Blue Sun", "detail": "robots and wolves"},
    {"title": "Old Sea", "detail": "robots at night, by the sea"},
    {"title": "Green Hill", "detail": "robots told of night"},
    {"detail": "an item without a title: robots, wolves"},
)
SHARES = (0.5, 0.25, 0.25)


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


def queries_of(texts: Any, **changes: Any) -> QuerySet:
    options: dict[str, Any] = {
        "title_field": "title",
        "detail_fields": ("detail",),
        "category_fields": (),
        "shares": SHARES,
        "ways": ("title",),
        "train_per_item": 2,
        "held_out_per_item": 1,
        "words": 3,
    }
    return warm_cold_new_queries(dataset_of(texts), **{**options, **changes})


def kind_and_way(query: Query) -> tuple[str, str]:
    kind, way = query.key.partition("/")[0].split("-")
    return kind, way


def test_kinds_are_cut_from_the_order_of_the_ids_hashes() -> None:
    def by_hash(item: int) -> int:
        return int(hashlib.sha256(f"kind\ti{item}".encode()).hexdigest()[:16], 16)

    order = sorted(range(4), key=by_hash)
    expected = dict(zip(order, ("warm", "warm", "cold", "new"), strict=True))
    found = item_kinds(dataset_of(FIVE), "title", SHARES)
    assert found == (*(expected[item] for item in range(4)), "untitled")


def test_five_items_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("warm", "warm", "cold", "new", "untitled")
    monkeypatch.setattr("gti.data.warm_cold_new.item_kinds", lambda *given: kinds)
    texts = (*FIVE[:3], {"title": "Green Hill", "detail": "alien fog"}, {"detail": "alien fog"})
    monkeypatch.setattr("gti.data.warm_cold_new._check_all_kinds", lambda *given: None)
    found = queries_of(texts, ways=("title", "detail"), held_out_per_item=2)
    titles = [set(words_of(text.get("title", ""))) for text in texts]
    # Of a title of two words the only combination is trained on; one of three words has others.
    trained = [(query.key.split("/")[1], set(query.text.split())) for query in found.train]
    assert ("i1", {"blue", "sun"}) in trained
    assert {item for item, _ in trained} == {"i0", "i1"}
    by_title = {
        part: [(q.key.split("/")[:2], set(q.text.split())) for q in found.of(part)
               if q.key.split("/")[0].endswith("-title")]
        for part in ("test", "validation")
    }  # fmt: skip
    assert (["cold-title", "i2"], {"old", "sea"}) in by_title["test"]
    assert (["new-title", "i3"], {"green", "hill"}) in by_title["test"]
    for part in by_title.values():
        assert all(words <= titles[int(key[1][1])] for key, words in part)
    # In a shown title stands "sea", in one item's details alone "tale", "told", "by" and others:
    # i0 has wolves, at, night left, i1 robots and wolves, i2 robots, at, night. {at, night} is held
    # by a warm and a cold item, {alien, fog} by the new one and one without a title.
    details = {
        (query.key.partition("/")[0], frozenset(query.text.split()))
        for query in (*found.test, *found.validation)
        if "-detail/" in query.key
    }
    assert {kind for kind, _ in details} == {"warm-detail", "cold-detail"}
    assert details <= {
        ("warm-detail", frozenset({"wolves", "at"})),
        ("warm-detail", frozenset({"wolves", "night"})),
        ("warm-detail", frozenset({"wolves", "at", "night"})),
        ("warm-detail", frozenset({"robots", "wolves"})),
        ("cold-detail", frozenset({"robots", "at"})),
        ("cold-detail", frozenset({"robots", "night"})),
        ("cold-detail", frozenset({"robots", "at", "night"})),
    }


WORDS = ["red", "blue", "moon", "sun", "old", "new", "war", "tale", "of", "sea"]
DETAILS = ["wolf", "fog", "robot", "night", "dust", "moon", "alien", "king", "ship", "snow"]
ITEM = st.fixed_dictionaries(
    {
        "title": st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
        "detail": st.lists(st.sampled_from(DETAILS), min_size=3, max_size=7).map(" ".join),
        "kind": st.sampled_from(["comedy", "war"]),
    }
)
ITEMS = st.lists(ITEM, min_size=10, max_size=20).map(
    # Two words of its own for each, so that every item has combinations that it alone holds.
    lambda items: [{**own, "title": f"{own['title']} n{i} m{i}"} for i, own in enumerate(items)]
)


@settings(deadline=None, max_examples=40)
@given(ITEMS, st.integers(1, 3), st.integers(2, 4))
def test_held_out_combinations_are_never_trained_on(texts: Any, count: int, words: int) -> None:
    found = queries_of(texts, train_per_item=count, words=words)
    combos = [[frozenset(query.text.split()) for query in found.of(part)] for part in PARTS]
    assert not set(combos[0]) & {*combos[1], *combos[2]}
    assert len({*combos[1], *combos[2]}) == len(combos[1]) + len(combos[2])


@settings(deadline=None, max_examples=40)
@given(ITEMS)
def test_only_warm_items_are_trained_on_and_all_of_them(texts: Any) -> None:
    found = queries_of(texts)
    assert found.kinds is not None
    warm = {item for item, kind in enumerate(found.kinds) if kind == "warm"}
    assert {item for _, item in found.pairs()} == warm
    counted = found.popularity(len(texts))
    assert set(np.flatnonzero(counted)) == warm
    shown = {item for item, kind in enumerate(found.kinds) if kind in ("warm", "cold")}
    assert found.shown is not None
    assert found.shown.tolist() == sorted(shown)


@settings(deadline=None, max_examples=40)
@given(ITEMS, st.sampled_from([(0.6, 0.2, 0.2), (0.34, 0.33, 0.33), (0.5, 0.5, 0.0)]))
def test_shares_are_as_stated(texts: Any, shares: tuple[float, float, float]) -> None:
    counts = Counter(item_kinds(dataset_of(texts), "title", shares))
    for kind, share in zip(("warm", "cold", "new"), shares, strict=True):
        assert abs(counts[kind] - share * len(texts)) <= 1


def whole(texts: Any) -> QuerySet | None:
    """Queries of both ways, where some of each kind can be made."""
    try:
        return queries_of(texts, ways=("title", "detail"), category_fields=("kind",))
    except DataError as error:
        problem = str(error)
    assert "-detail for" in problem
    return None


@settings(deadline=None, max_examples=60)
@given(ITEMS)
def test_held_out_queries_are_good_for_items_of_their_own_kind_alone(texts: Any) -> None:
    found = whole(texts)
    if found is None:
        return
    assert found.kinds is not None
    every = [set(words_of(f"{own['title']} {own['detail']}")) for own in texts]
    for part in ("validation", "test"):
        for query in found.of(part):
            asked = set(query.text.split())
            holding = [item for item, words in enumerate(every) if asked <= words]
            assert query.good.tolist() == holding
            assert {found.kinds[item] for item in holding} == {kind_and_way(query)[0]}
            own = int(query.answers[0])
            alike = {i for i, text in enumerate(texts) if text["kind"] == texts[own]["kind"]}
            assert query.maybe.tolist() == sorted(alike - set(holding))


@settings(deadline=None, max_examples=60)
@given(ITEMS)
def test_words_of_details_stand_in_no_shown_title_and_no_training_query(texts: Any) -> None:
    found = whole(texts)
    if found is None:
        return
    assert found.shown is not None
    beside = {word for item in found.shown for word in words_of(texts[item]["title"])}
    beside |= {word for query in found.train for word in query.text.split()}
    asked = [query for part in ("validation", "test") for query in found.of(part)]
    for query in asked:
        words, own = set(query.text.split()), texts[int(query.answers[0])]
        if kind_and_way(query)[1] == "detail":
            assert not words & beside
            assert words <= set(own["detail"].split()) - set(words_of(own["title"]))
        else:
            assert words <= set(words_of(own["title"]))


def test_the_hash_covers_texts_and_kinds() -> None:
    texts = [{"title": f"a{i} b{i} c{i}"} for i in range(8)]
    one = queries_of(texts)
    assert queries_of(texts).sha256 == one.sha256
    # The last item is untitled and asked for nowhere: the queries are the same, the kinds are not.
    more = queries_of([*texts, {}])
    assert everything(more) == everything(one)
    assert more.sha256 != one.sha256


def everything(found: QuerySet) -> list[tuple[str, str]]:
    return [(query.key, query.text) for part in PARTS for query in found.of(part)]


@pytest.mark.parametrize(
    ("texts", "changes", "message"),
    [
        (FIVE, {"shares": (0.9, 0.05, 0.05)}, "0.05 of its 4 items with a title is no cold item"),
        (FIVE, {"ways": ("detail",), "detail_fields": ("story",)}, "no item has a text in the"),
        (FIVE, {"ways": ("detail",), "detail_fields": ()}, "no item has a text in the"),
        ([{"title": "red moon"}] * 8, {}, "no query cold-title for validation"),
    ],
)
def test_what_cannot_be_asked_is_refused(texts: Any, changes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        queries_of(texts, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": (0.5, 0.5, 0.5)}, "sum to 1"),
        ({"train_per_item": 0}, "expected train_per_item"),
        ({"words": 1}, "expected train_per_item"),
    ],
)
def test_a_rule_without_meaning_is_refused(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        queries_of(FIVE, **changes)
