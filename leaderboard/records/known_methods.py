"""What is known of the methods of a board, and in which order and look they are drawn."""

import hashlib
import json
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import get_args

from leaderboard.records.facts import Color, FirstRows, Look, MethodFacts
from leaderboard.records.record import MethodCard

SHIPPED = Path(__file__).with_name("shipped_facts.json")
PATTERNS = 4
LAST = 100
"""The order of a method of which nothing is known."""


@cache
def shipped_facts() -> dict[str, MethodFacts]:
    """Key → facts of the methods that come with the code, in the order of figures.

    Records from before cards held facts have none, and `leaderboard` must not import methods, so
    the facts of their classes lie in a file. `tests/benchmarks/cell/test_identity.py` holds it to
    the classes and writes it anew. It goes with the next schema, whose cards must have facts.
    """
    content = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return {key: MethodFacts.model_validate(facts) for key, facts in content.items()}


def facts_of(card: MethodCard) -> MethodFacts | None:
    """The shipped facts of a shipped method, else those of its card; null where there are none."""
    return shipped_facts().get(card.key, card.facts)


def first_rows_of(card: MethodCard) -> FirstRows | None:
    """What the first rows of the method are claimed to be; null where nothing is."""
    facts = facts_of(card)
    return None if facts is None else facts.first_rows


def known_facts(cards: Iterable[MethodCard]) -> dict[str, MethodFacts]:
    """Key → facts: of all shipped methods, then of the others among `cards` in their order."""
    others: dict[str, MethodFacts] = {}
    for card in sorted(cards, key=order_of):
        facts = facts_of(card)
        if facts is not None:
            others.setdefault(card.key, facts)
    return shipped_facts() | others


def order_of(card: MethodCard) -> tuple[int, str]:
    """Sorts methods as figures and legends show them."""
    facts = facts_of(card)
    return LAST if facts is None else facts.order, card.key


def looks_of(cards: Collection[MethodCard]) -> dict[str, Look]:
    """Key → look of the methods of a board; no two alike, as long as there are enough.

    A method without a look, or whose look is taken, gets one that is left, which its name decides
    on; those of shipped methods that the board has not are the last to be given away.
    """
    found: dict[str, Look] = {}
    for key, facts in known_facts(cards).items():
        if facts.look is not None and facts.look not in found.values():
            found[key] = facts.look
    keys = {card.key for card in cards}
    for key in sorted(keys - found.keys()):
        here = [found[other] for other in keys & found.keys()]
        found[key] = _free_look(key, found.values(), here)
    return {key: found[key] for key in keys}


def _free_look(key: str, *taken: Collection[Look]) -> Look:
    """The first that is not `taken`, from where `key` says on; if all are, by the next `taken`."""
    colors = get_args(Color)
    start = hashlib.sha256(key.encode()).digest()[0] % (len(colors) * (PATTERNS - 1))
    looks = [
        Look(color=colors[place % len(colors)], pattern=(1 + place // len(colors)) % PATTERNS)
        for place in range(start, start + len(colors) * PATTERNS)
    ]
    free = (look for them in taken for look in looks if look not in them)
    return next(free, looks[0])
