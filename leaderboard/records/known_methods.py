"""What is known of the methods of a board, and in which order and look they are drawn."""

import hashlib
from collections.abc import Collection, Iterable
from typing import get_args

from leaderboard.records.facts import Color, FirstRows, Look, MethodFacts
from leaderboard.records.record import MethodCard

PATTERNS = 4
LAST = 100
"""The order of a method of which nothing is known."""


def first_rows_of(card: MethodCard) -> FirstRows | None:
    """What the first rows of the method are claimed to be; null where nothing is."""
    return None if card.facts is None else card.facts.first_rows


def known_facts(cards: Iterable[MethodCard]) -> dict[str, MethodFacts]:
    """Key → facts of those among `cards` that have some, in the order of figures."""
    found: dict[str, MethodFacts] = {}
    for card in sorted(cards, key=order_of):
        if card.facts is not None:
            found.setdefault(card.key, card.facts)
    return found


def order_of(card: MethodCard) -> tuple[int, str]:
    """Sorts methods as figures and legends show them."""
    return LAST if card.facts is None else card.facts.order, card.key


def looks_of(cards: Collection[MethodCard]) -> dict[str, Look]:
    """Key → look of the methods of a board; no two alike, as long as there are enough.

    A method without a look, or whose look is taken, gets one that is left, which its name decides
    on.
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
