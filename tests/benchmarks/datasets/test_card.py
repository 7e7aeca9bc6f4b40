"""Tests of the cards: complete, told apart, and strict about their options."""

import re

import pytest

from benchmarks.datasets import CARDS
from gti.data.dataset import DataError

VIBRENT = {"unit": "group", "orders": "activity", "duplicates": "drop", "k_core": 5}


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_card_says_all_that_a_reader_needs(card):
    for field in ("title", "source", "licence", "obtain", "order", "texts", "stem", "get"):
        assert getattr(card, field)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", card.name)
    assert card.addresses
    assert all(re.fullmatch(r"https://[\w.-]+/[\w./~-]+", address) for address in card.addresses)
    assert card.listed
    for choice in card.listed:
        assert card.check_options(choice) == choice


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_a_card_whose_files_one_brings_names_them_and_where_they_are(card):
    if card.layout in ("lcrec", "amazon-2014", "vibrent"):
        assert any(address in card.obtain for address in card.addresses)
        assert all(name in card.obtain for name in card.get.split(" (")[0].split(", "))


def test_cuts_of_the_same_name_have_titles_of_their_own():
    titles = [card.title for card in CARDS.values()]
    assert len(set(titles)) == len(titles)
    wanted = {"ml-100k", "ml-1m", "beauty", "sports", "toys", "instruments", "arts", "games"}
    assert wanted | {"scientific", "vibrent", "amazon-2023-video-games"} <= set(CARDS)


def test_options_come_back_in_the_cards_order():
    card = CARDS["vibrent"]
    chosen = card.check_options(dict(reversed(VIBRENT.items())))
    assert list(chosen) == ["unit", "orders", "duplicates", "k_core"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vibrent", None, r"option 'unit' .* must be given.*: \"outfit\" or \"group\""),
        ("vibrent", {**VIBRENT, "units": 1}, "unknown option 'units'; did you mean 'unit'"),
        ("vibrent", {**VIBRENT, "zzz": 1}, "it has unit, orders, duplicates, k_core"),
        ("vibrent", {**VIBRENT, "unit": "item"}, r"is 'item'; allowed: \"outfit\" or \"group\""),
        ("vibrent", {**VIBRENT, "k_core": -1}, "is -1; allowed: a whole number, 0 or more"),
        ("vibrent", {**VIBRENT, "k_core": True}, "is True; allowed"),
        ("vibrent", {**VIBRENT, "k_core": "5"}, "is '5'; allowed"),
        ("amazon-2023-software", {"k_core": 0}, "is 0; allowed: a whole number, 1 or more"),
        ("beauty", {"k_core": 5}, "unknown option 'k_core'; this dataset has no options"),
    ],
)
def test_options_that_cannot_be_used_name_what_is_allowed(name, options, message):
    with pytest.raises(DataError, match=f"dataset {name}: .*{message}"):
        CARDS[name].check_options(options)
