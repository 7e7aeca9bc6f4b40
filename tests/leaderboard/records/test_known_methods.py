"""In which order methods are drawn, and that no two of a board look alike."""

from itertools import permutations

import pytest
from pydantic import ValidationError

from baselines.registry import methods
from benchmarks.cell.identity import method_facts
from benchmarks.perf.honest_records.by_hand import card_by_hand as card
from leaderboard.records.facts import Contrast, Look, MethodFacts
from leaderboard.records.known_methods import first_rows_of, known_facts, looks_of, order_of
from leaderboard.records.record import MethodCard

SHIPPED: dict[str, MethodFacts] = {key: method_facts(each) for key, each in methods().items()}


def of_shipped(key: str) -> MethodCard:
    """The card of a shipped method, as far as facts go."""
    return card(key, **SHIPPED[key].model_dump())


def test_what_is_known_of_a_method_is_what_its_card_says() -> None:
    assert first_rows_of(of_shipped("gti")) == "mean"
    assert first_rows_of(card("gti", first_rows="drawn")) == "drawn"
    known = known_facts([card("mine", order=7), of_shipped("gti"), of_shipped("mean")])
    assert list(known) == ["mean", "gti", "mine"]
    assert known["gti"] == SHIPPED["gti"]


def test_a_method_must_have_facts() -> None:
    with pytest.raises(ValidationError, match="methods have facts, references have none"):
        MethodCard.model_validate({**card("mine").model_dump(), "facts": None})


def test_methods_stand_by_their_order_then_by_name() -> None:
    cards = [
        card("zebra"),
        card("apple"),
        card("early", order=0),
        of_shipped("gti"),
        of_shipped("mean"),
    ]
    keys = [each.key for each in sorted(cards, key=order_of)]
    assert keys == ["early", "mean", "gti", "apple", "zebra"]


def test_methods_without_a_look_get_one_that_nobody_has() -> None:
    others = [card(f"mine-{number}") for number in range(32 - len(SHIPPED))]
    found = looks_of([*map(of_shipped, SHIPPED), *others])
    assert len(set(found.values())) == 32
    assert {key: found[key] for key in SHIPPED} == {
        key: facts.look for key, facts in SHIPPED.items()
    }


def test_a_look_that_is_taken_goes_to_the_first_that_has_it() -> None:
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
        assert (found["imitator"], found["first"]) == (blue, green)
        assert len(set(found.values())) == 4
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
