"""The pairs of methods that a board tests: those that methods declare, and each one with `mean`."""

from collections.abc import Iterable

from leaderboard.board.method_rows import BASE
from leaderboard.records.facts import Contrast
from leaderboard.records.known_methods import known_facts
from leaderboard.records.record import MethodCard

QUESTIONS = (
    "Is there a gain to explain?",
    "Is it more compute?",
    "Is it only that the rows differ?",
    "Must the pairs be the right ones?",
    "Does it take texts to train the rows first?",
    "Would the texts do without training?",
    "Does it matter where grounding starts?",
    "Is next-token prediction the way to put texts into rows?",
    "Does it take both directions?",
    "Does freezing matter?",
    "Does it add to alignment tasks?",
)
"""In the order in which they are answered; those that only a method of others asks come after."""


def contrasts_for(cards: Iterable[MethodCard]) -> list[Contrast]:
    """The contrasts that the methods of `cards` declare, each pair once.

    Question by question; of one question by their places, then in the order of the methods.
    """
    pairs: dict[frozenset[str], Contrast] = {}
    for facts in known_facts(cards).values():
        for contrast in facts.contrasts:
            pairs.setdefault(frozenset((contrast.a, contrast.b)), contrast)
    asked = [*QUESTIONS, *(contrast.question for contrast in pairs.values())]
    return sorted(pairs.values(), key=lambda each: (asked.index(each.question), each.place))


def pairs_shown(cards: Iterable[MethodCard]) -> list[tuple[str, str]]:
    """Every pair that a board or its contrasts show of the methods of `cards`, each once."""
    own = {card.key: card for card in cards}
    declared = [(each.a, each.b) for each in contrasts_for(own.values())]
    from_base = [(key, BASE) for key in sorted(own) if key != BASE]
    pairs = {frozenset(pair): pair for pair in [*from_base, *declared]}
    return [pair for pair in pairs.values() if own.keys() >= set(pair)]
