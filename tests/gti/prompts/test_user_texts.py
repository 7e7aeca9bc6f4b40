"""Intentions and preferences, worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gti.prompts.user_texts import UserTexts, detail_terms, words

ITEMS = (
    {"title": "The Red Lantern", "categories": "Drama, Romance", "year": "1991"},
    {"title": "Red River Boats", "categories": "Drama, Western, Romance", "year": "1991"},
    {"title": "River Lantern", "categories": "Comedy, Family Film", "year": "1992"},
    {"title": "GoldenEye", "categories": "Comedy, Romance", "year": "1992"},
    {},
    {
        "title": "Lantern of the Lost Ships at Sea",
        "categories": "Drama, Western",
        "year": "1992",
        "brand": "not a field of the setting: Western",
    },
)
# Items per term: red 2, lantern 3, river 2; drama 3, romance 3, western 2, comedy 2, 1991 2,
# 1992 3; all others are one item's own.


def made(items=ITEMS):
    return UserTexts(items, "title", ("categories", "year"))


@pytest.mark.parametrize(
    ("item", "intention"),
    [
        (0, "red, drama, romance, 1991"),  # three words: one of them may be shown, the rarer
        (1, "red, drama, western, 1991"),  # red, river: tied; western, 1991 rarest, then drama
        (2, "river, comedy, 1992"),  # "family film" is this item's own
        (3, "comedy, romance, 1992"),  # half of one word is none
        (4, ""),
        (5, "lantern, drama, western, 1992"),
    ],
)
def test_intentions_are_the_rarest_shared_terms(item, intention):
    assert made().intention(item) == intention


@pytest.mark.parametrize(
    ("items", "preference"),
    [
        # 1991 and red: 2 ln(6/2); drama and romance: 2 ln(6/3); ties by the alphabet
        ([0, 1], "1991, red, drama, romance"),
        # 1991, red, western: 2 ln 3 = 2.20; drama: 3 ln 2 = 2.08; lantern, romance: 2 ln 2 = 1.39
        ([0, 1, 5], "1991, red, western, drama, lantern"),
        ([5, 1, 0], "1991, red, western, drama, lantern"),
        ([0, 0], ""),  # one item shares nothing with itself
        ([3, 4], ""),
        ([], ""),
    ],
)
def test_preferences_are_what_the_items_share(items, preference):
    assert made().preference(items) == preference


def test_what_all_items_carry_says_nothing():
    same = made([{"title": "Red Box", "categories": "Drama"}] * 3)
    assert same.intention(0) == ""
    assert same.preference([0, 1, 2]) == ""


def test_words_are_lower_case_letters_without_function_words():
    found = ["children's", "self-tapping", "été", "steel"]
    assert words("The Children's 3D Self-Tapping of ÉTÉ on 12 Steel!") == found


def test_short_pieces_are_terms_and_longer_ones_give_words():
    text = "Beauty > Skin Care > Toners & Astringents, 1991. Made in Toronto; a rod for the garden"
    terms = ["beauty", "skin care", "toners & astringents", "1991", "made", "toronto"]
    assert detail_terms(text) == [*terms, "rod", "garden"]


def test_numbers_are_not_cut():
    assert detail_terms("1,000 pieces, 1/2 inch") == ["1,000 pieces", "1/2 inch"]
    assert detail_terms("drama,1991/western") == ["drama", "1991", "western"]


def test_only_the_opening_of_a_long_text_is_read():
    text = "steel " * 59 + "garden hammer"
    assert detail_terms(text) == ["steel", "garden"]


def test_terms_of_the_title_are_not_told_again_by_the_detail():
    items = made([{"title": "Steel Rod", "categories": "steel, rod, garden"}, *ITEMS[:2]] * 2)
    assert items.intention(0) == "steel, garden"


def test_needs_are_met_by_the_item_or_by_what_is_shown_before_it():
    texts = made()
    assert texts.has("title", 3, None)
    assert not texts.has("detail", 4, None)
    assert texts.has("intention", 3, None)
    assert not texts.has("intention", 4, None)
    assert texts.has("titles", 4, [4, 3])
    assert not texts.has("titles", 3, [3, 4])
    assert not texts.has("titles", 3, None)
    assert texts.has("preference", 4, [0, 1])
    assert not texts.has("preference", 0, [0])


TITLES = st.lists(st.sampled_from(["red", "blue", "sea", "ship", "lost", "of"]), max_size=6)


@given(st.lists(TITLES, min_size=3, max_size=8))
def test_an_intention_never_spells_a_title_out(titles):
    texts = UserTexts([{"title": " ".join(title)} for title in titles], "title", ())
    for item, title in enumerate(titles):
        shown = [term for term in texts.intention(item).split(", ") if term]
        assert set(shown) <= set(title)
        assert len(shown) <= len(title) // 2
