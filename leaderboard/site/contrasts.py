"""`gti-bench contrasts` on a board's page: its tables with the differences' intervals drawn."""

from dataclasses import dataclass, replace

from leaderboard.board.contrasts import Answers
from leaderboard.board.primary import Decided
from leaderboard.figures.intervals import Interval, interval_axis
from leaderboard.render.contrasts import contrast_table, notes_on
from leaderboard.render.primary import primary_table
from leaderboard.render.table import Table
from leaderboard.site.tables import tick, with_intervals
from leaderboard.statistics.crossed import Estimate

FIRST = ("pair", "difference", "p", "verdict")
"""A row's header, the two methods; then what a narrow screen must show."""

SHOWN = ("better", "worse")
"""Verdicts on a difference that is shown."""

LONG = ("question", "isolates")
"""Long texts, which come last."""


@dataclass(frozen=True)
class Contrasts:
    """What the page says of a setting's contrasts: the verb's tables and its notes.

    `primary`: of what the setting declares, None where it declares nothing; `table`: of the rest,
    None where there is none.
    """

    primary: Table | None
    table: Table | None
    notes: tuple[str, ...]


def contrasts(found: Answers | None) -> Contrasts | None:
    """The tables and their notes; None where the records allow no contrast."""
    if found is None:
        return None
    primary = None if found.decided is None else _primary(found.decided, found.setting.asks)
    return Contrasts(primary, _others(found) if found.answers else None, tuple(notes_on(found)))


def _primary(decided: Decided, asks: str) -> Table:
    """The primary contrasts, with their intervals drawn."""
    tests = [each.tested for each in decided.decisions]
    intervals = [None if each is None else _interval(each.estimate) for each in tests]
    axis = interval_axis([each for each in intervals if each is not None], tick, zero=True)
    kinds = [each.verdict if each.verdict in SHOWN else "open" for each in decided.decisions]
    table = with_intervals(
        primary_table(decided, asks), "interval", axis, intervals, [str(kind) for kind in kinds]
    )
    return table.ordered(FIRST, ("claim",))


def _others(found: Answers) -> Table:
    """All other contrasts, with their intervals drawn."""
    table = contrast_table(found)
    # The verb names no column of figures: the one before it says what they are of.
    named = replace(table["difference"], name=found.metric)
    table = table.with_column(named, table.entries("difference"))
    intervals = [_interval(each.estimate) for each in found.answers]
    axis = interval_axis(intervals, tick, zero=True)
    kinds = [each.tested.verdict if each.shown else "open" for each in found.answers]
    return with_intervals(table, "interval", axis, intervals, kinds).ordered(FIRST, LONG)


def _interval(found: Estimate) -> Interval:
    """A mean difference with its interval, ready to draw."""
    return Interval(found.mean, found.low, found.high)
