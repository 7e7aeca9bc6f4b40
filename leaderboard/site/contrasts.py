"""`gti-bench contrasts` on a board's page: its table with the differences' intervals drawn."""

from dataclasses import dataclass, replace

from leaderboard.board.contrasts import Answer, Answers
from leaderboard.figures.intervals import Interval, interval_axis
from leaderboard.render.contrasts import contrast_table, notes_on
from leaderboard.render.table import Table
from leaderboard.site.tables import tick, with_intervals

FIRST = ("pair", "difference", "p", "verdict")
"""A row's header, the two methods; then what a narrow screen must show."""

LONG = ("question", "isolates")
"""Long texts, which come last."""


@dataclass(frozen=True)
class Contrasts:
    """What the page says of a setting's contrasts: the verb's table and its notes."""

    table: Table
    notes: tuple[str, ...]


def contrasts(found: Answers | None) -> Contrasts | None:
    """The table and its notes; None where the records allow no contrast."""
    if found is None:
        return None
    table = contrast_table(found)
    # The verb names no column of figures: the one before it says what they are of.
    named = replace(table["difference"], name=found.metric)
    table = table.with_column(named, table.entries("difference"))
    intervals = [_interval(each) for each in found.answers]
    axis = interval_axis(intervals, tick, zero=True)
    table = with_intervals(table, "interval", axis, intervals, [_kind(a) for a in found.answers])
    return Contrasts(table.ordered(FIRST, LONG), tuple(notes_on(found)))


def _interval(answer: Answer) -> Interval:
    """The mean difference of a contrast with its interval, ready to draw."""
    found = answer.estimate
    return Interval(found.mean, found.low, found.high)


def _kind(answer: Answer) -> str:
    """The CSS class of an interval."""
    if not answer.shown:
        return "open"
    kind = "better" if answer.estimate.mean > 0 else "worse"
    return f"{kind} alone" if answer.estimate.num_seeds == 1 else kind
