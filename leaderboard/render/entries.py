"""Entries of a table: a text, a figure, an interval, each with what it is sorted by."""

from collections.abc import Callable

from leaderboard.render.numbers import NOTHING, interval, score
from leaderboard.render.table import Entry
from leaderboard.statistics.crossed import Estimate


def word(text: str) -> Entry:
    """A text that is sorted by itself."""
    return Entry(text, text)


def figure(value: float | None, write: Callable[[float], str] = score) -> Entry:
    """A figure as `write` writes it."""
    return Entry(NOTHING if value is None else write(value), value)


def bounds(found: Estimate | None, with_sign: bool = False) -> Entry:
    """An interval, sorted by its lower end."""
    return Entry(interval(found, with_sign), None if found is None else found.low)
