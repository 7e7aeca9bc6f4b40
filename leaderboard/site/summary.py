"""What a board says to a reader who has one minute: who leads, what can be shown, who checked."""

from collections import Counter
from dataclasses import dataclass

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import BASE, MethodRow
from leaderboard.metrics.metrics import is_loss
from leaderboard.render.numbers import interval, score
from leaderboard.render.primary import decision_told, pair_of

SHOWN = ("better", "worse")
"""Verdicts on a difference that is shown."""

MOST_NAMED = 6
"""Methods named in a sentence."""


@dataclass(frozen=True)
class Glance:
    """Five answers about a board, one sentence each.

    Attributes:
        leader: the method with the highest mean; empty where there is none.
        lead: who leads, with its interval, and who cannot be told apart from it.
        shown: how many differences from `mean` can be shown.
        any_shown: whether one can, over seeds and not at one seed alone.
        weak: how many methods are under-trained, or empty.
        primary: the verdicts on what the setting declares, or empty.
        standing: how many rows are claimed, verified, reproduced.
    """

    leader: str
    lead: str
    shown: str
    any_shown: bool
    weak: str
    primary: str
    standing: str


def glance(board: Leaderboard) -> Glance:
    """What `board` says in short."""
    methods = [row for row in board.rows if row.kind == "cell"]
    tested = [row for row in methods if row.difference and row.difference.estimate.p is not None]
    found = [row for row in tested if row.difference and row.difference.verdict in SHOWN]
    firm = [row for row in found if not at_one_seed(row)]
    states = Counter(row.standing.state for row in board.rows)
    weak = [row.key for row in methods if row.under_trained]
    return Glance(
        leader=methods[0].key if methods else "",
        lead=_lead(board, methods),
        shown=_shown(board.metric, tested, firm, [row for row in found if at_one_seed(row)]),
        any_shown=bool(firm),
        weak=f"{len(weak)} under-trained, no claim: {', '.join(weak)}." if weak else "",
        primary=_primary(board),
        standing=", ".join(
            f"{states[state]} row{'' if states[state] == 1 else 's'} {state}"
            for state in ("reproduced", "verified", "claimed")
            if states[state]
        ),
    )


def at_one_seed(row: MethodRow) -> bool:
    """Whether the row's difference says nothing about another seed."""
    return row.difference is not None and (
        row.difference.estimate.scope == "conditional on one seed"
    )


def _primary(board: Leaderboard) -> str:
    """The verdict on each primary contrast."""
    decided = board.family.decided
    if decided is None:
        return ""
    found = [f"{pair_of(e)}: {decision_told(e, decided.spec.margin)}" for e in decided.decisions]
    return f"By {decided.spec.outcome}, {'; '.join(found)}."


def _lead(board: Leaderboard, methods: list[MethodRow]) -> str:
    """Who leads, and how far that can be told."""
    if not methods:
        return "No method has a record yet; there are references only."
    first, others = methods[0], methods[1:]
    end = "lowest" if is_loss(board.metric) else "highest"
    mean = score(first.means.get(board.metric))
    text = f"{first.key} has the {end} mean: {board.metric} {mean}"
    if first.score is not None and first.score.low is not None:
        text += f" {interval(first.score)}"
    alike = [row.key for row in others if set(row.ties) & set(first.ties)]
    if others and first.ties:
        if len(alike) == len(others):
            text += "; no other method can be told apart from it"
        elif alike:
            text += f"; {len(alike)} of {len(others)} others cannot be told apart from it"
        else:
            text += "; it can be told apart from every other method"
    higher = [row.key for row in board.rows[: board.rows.index(first)]]
    if higher:
        text += f". Above it: {', '.join(higher)} (reference)"
    return f"{text}."


def _shown(
    metric: str, tested: list[MethodRow], firm: list[MethodRow], alone: list[MethodRow]
) -> str:
    """How many of the `tested` differences from `mean` in `metric` can be shown."""
    if not tested:
        return f"Nothing to compare with {BASE} yet."
    plural = "" if len(tested) == 1 else "s"
    over = " over seeds" if alone else ""
    text = (
        f"By {metric}, {len(firm) or 'none'} of {len(tested)} difference{plural} from {BASE} can be"
        f" shown{over}"
    )
    if firm:
        parts = []
        for word in ("better", "worse"):
            keys = [row.key for row in firm if row.difference and row.difference.verdict == word]
            parts += [f"{word}: {_named(keys)}"] if keys else []
        text += f" ({'; '.join(parts)})"
    if alone:
        text += (
            f"; {len(alone)} at one seed alone ({_named([row.key for row in alone])}), which says"
            " nothing about another seed"
        )
    barred = [
        row.key for row in tested if row.difference and row.difference.verdict == "no verdict"
    ]
    if barred:
        text += f"; no verdict on {_named(barred)}"
    return f"{text}."


def _named(keys: list[str]) -> str:
    """`a, b, c`; the first few where there are many."""
    more = len(keys) - MOST_NAMED
    return ", ".join(keys[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
