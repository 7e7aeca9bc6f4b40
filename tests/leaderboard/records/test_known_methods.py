"""Whose facts count, in which order methods are drawn, and that no two of a board look alike."""

from itertools import permutations

import pytest
from pydantic import ValidationError

from benchmarks.perf.honest_records.by_hand import card_by_hand as card
from leaderboard.records.facts import Contrast, Look
from leaderboard.records.known_methods import facts_of, looks_of, order_of, shipped_facts


def test_a_shipped_methods_facts_are_the_shipped_ones_and_others_their_cards() -> None:
    assert facts_of(card("gti")) == facts_of(card("gti", first_rows="drawn"))
    assert facts_of(card("gti")) == shipped_facts()["gti"]
    assert facts_of(card("mine", first_rows="drawn")).first_rows == "drawn"  # type: ignore[union-attr]
    assert facts_of(card("popularity")) is None


def test_shipped_methods_stand_first_and_others_by_their_order_then_by_name() -> None:
    cards = [card("zebra"), card("apple"), card("early", order=0), card("gti"), card("mean")]
    keys = [each.key for each in sorted(cards, key=order_of)]
    assert keys == ["early", "mean", "gti", "apple", "zebra"]


def test_methods_without_a_look_get_one_that_nobody_has() -> None:
    others = [card(f"mine-{number}") for number in range(32 - len(shipped_facts()))]
    found = looks_of([*map(card, shipped_facts()), *others])
    assert len(set(found.values())) == 32
    assert {key: found[key] for key in shipped_facts()} == {
        key: facts.look for key, facts in shipped_facts().items()
    }


def test_a_look_that_is_taken_is_not_given_twice_and_the_shipped_ones_are_kept() -> None:
    blue = Look(color="blue", pattern=0)
    green = Look(color="green", pattern=3)
    cards = [
        card("imitator", order=1, look=blue),
        card("first", order=2, look=green),
        card("second", order=3, look=green),
        card("none"),
    ]
    for some in permutations(cards):
        found = looks_of(some)
        assert found["first"] == green
        assert len(set(found.values())) == 4
        assert blue not in found.values()
        assert found == looks_of(cards)


def test_more_methods_than_looks_share_them() -> None:
    found = looks_of([card(f"mine-{number}") for number in range(40)])
    assert len(set(found.values())) == 32


def test_words_that_would_break_a_table_are_refused() -> None:
    for words in ("a | b", "a\nb", ""):
        with pytest.raises(ValidationError, match="isolates"):
            Contrast(question="?", a="gti", b="mean", isolates=words, place=0)


def test_a_card_declares_no_contrast_between_two_others() -> None:
    pair = Contrast(question="?", a="gti", b="mean", isolates="nothing", place=0)
    with pytest.raises(ValidationError, match="contrast gti − mean is none of method mine"):
        card("mine", contrasts=(pair,))
