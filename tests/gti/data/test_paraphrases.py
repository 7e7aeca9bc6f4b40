"""Paraphrases: nouns replaced by words that no item holds, and who is found by them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.data.dataset import DataError, Dataset, Provenance
from gti.data.paraphrases import Paraphrases
from gti.data.queries import PARTS, QuerySet, TextIndex, words_of
from gti.data.warm_cold_new import warm_cold_new_queries

SYNONYMS = {
    "boat": ("ship", "vessel"),  # "ship" is in a title: not used
    "ship": ("vessel",),
    "war": ("warfare", "fight"),
    "tale": ("narrative",),
    "king": ("monarch", "ruler"),
    "moon": ("satellite",),
    "unheard": ("unknown",),
}
TITLES = ("The Red Boat", "A Ship of War", "War", "Old Sea", "Red Ship, Old Boat")


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


def paraphrases(titles: Any = TITLES) -> Paraphrases:
    index = TextIndex(dataset_of([{"title": title} for title in titles]), ("title",))
    return Paraphrases(index, SYNONYMS)


def test_every_noun_is_replaced_and_other_words_stay_in_order() -> None:
    made = paraphrases()
    drawn = {made.draw(words_of(TITLES[1]), 4, ("i1", attempt)) for attempt in range(200)}
    nouns = {"vessel", "warfare", "fight"}
    rest = ("a", "of")
    for words in drawn:
        assert set(words) <= {*nouns, *rest}
        assert set(words) & nouns
        places = [("a", "vessel", "of", "warfare").index(w.replace("fight", "warfare"))
                  for w in words]  # fmt: skip
        assert places == sorted(places)
    assert {len(words) for words in drawn} == {2, 3, 4}
    assert {"vessel", "warfare", "fight"} <= {word for words in drawn for word in words}
    assert {made.draw(("war",), 3, ("i2", n)) for n in range(20)} == {("warfare",), ("fight",)}
    assert made.draw(words_of(TITLES[3]), 3, ("i3", 0)) == ()


def test_a_paraphrase_is_held_by_all_whose_nouns_it_may_stand_for() -> None:
    made = paraphrases()
    assert made.holding(("vessel",)).tolist() == [0, 1, 4]
    assert made.holding(("red", "vessel")).tolist() == [0, 4]
    assert made.holding(("vessel", "fight")).tolist() == [1]
    assert made.holding(("old", "warfare")).tolist() == []


def queries_of(texts: Any, **changes: Any) -> QuerySet:
    options: dict[str, Any] = {
        "title_field": "title",
        "detail_fields": (),
        "category_fields": (),
        "shares": (0.4, 0.3, 0.3),
        "ways": ("title", "paraphrase"),
        "train_per_item": 2,
        "held_out_per_item": 1,
        "words": 3,
        "synonyms": SYNONYMS,
    }
    return warm_cold_new_queries(dataset_of(texts), **{**options, **changes})


TITLE = st.lists(
    st.sampled_from(["boat", "war", "tale", "king", "moon", "red", "old", "of"]),
    min_size=1,
    max_size=4,
)
TEXTS = st.lists(TITLE, min_size=12, max_size=20).map(
    # Two words of its own and a noun for each, so that every item can be asked for.
    lambda titles: [
        {"title": " ".join([*title, "king", f"n{i}", f"m{i}"])} for i, title in enumerate(titles)
    ]
)


@settings(deadline=None, max_examples=40)
@given(TEXTS)
def test_held_out_paraphrases_hold_a_word_of_no_item_and_the_known_item_by_its_synonyms(
    texts: Any,
) -> None:
    synonyms = SYNONYMS | {"boat": ("vessel",), "ship": ()}  # one noun for each synonym
    found = queries_of(texts, synonyms=synonyms)
    held = [set(words_of(text["title"])) for text in texts]
    known = {word for words in held for word in words}
    originals = {new: old for old, others in synonyms.items() for new in others}
    asked = [q for part in ("test", "validation") for q in found.of(part)]
    reworded = [q for q in asked if "-paraphrase/" in q.key]
    assert reworded
    for query in reworded:
        words = query.text.split()
        item = int(query.key.split("/")[1][1:])
        assert not set(words) & SYNONYMS.keys()  # no noun is left as it is
        assert set(words) - known
        wanted = {originals.get(word, word) for word in words}
        good = [i for i, own in enumerate(held) if wanted <= own]
        assert query.good.tolist() == good
        assert item in good
    texts_of = {part: {q.text for q in found.of(part)} for part in PARTS}
    assert not texts_of["train"] & (texts_of["test"] | texts_of["validation"])
    assert len({frozenset(q.text.split()) for q in asked}) == len(asked)


def test_other_ways_ask_the_same_whether_synonyms_are_there_or_not() -> None:
    texts = [{"title": f"war tale n{i} m{i}"} for i in range(12)]
    one, other = (queries_of(texts, ways=("title",), synonyms=s) for s in (None, SYNONYMS))
    assert one.sha256 == other.sha256
    assert queries_of(texts).sha256 != one.sha256


def test_a_catalogue_without_nouns_and_a_way_without_synonyms_are_refused() -> None:
    texts = [{"title": f"red n{i} m{i}"} for i in range(12)]
    with pytest.raises(DataError, match="no query cold-paraphrase for"):
        queries_of(texts)
    with pytest.raises(ValueError, match="needs synonyms"):
        queries_of(texts, synonyms=None)
