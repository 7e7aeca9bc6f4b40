"""Intervals drawn in a table's cells, on one axis for a whole column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.site.svg import Axis, number, tag, widened


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; an undefined interval is null."""

    mean: float
    low: float | None
    high: float | None


ROW_WIDTH, ROW_HEIGHT = 100.0, 16.0
"""Of an interval in a table's cell."""


def interval_axis(found: Sequence[Interval], write: Callable[[float], str], zero: bool) -> Axis:
    """One axis for all intervals of a column, with zero on it if asked."""
    values = [v for each in found for v in (each.mean, each.low, each.high) if v is not None]
    low, high = widened([*values, *([0.0] if zero else [])]) if values else (0.0, 1.0)
    return Axis(low, high, 4, ROW_WIDTH - 4, write)


def draw_interval(axis: Axis, found: Interval | None, kind: str) -> Markup:
    """One row's interval; its numbers stand beside it as text, so it is hidden from readers.

    Args:
        axis: of the column.
        found: the row's; None leaves its place empty.
        kind: a CSS class: `cell`, `reference`, `better`, `worse` or `open`; `alone` beside
            them where it speaks of one seed.
    """
    parts = [] if found is None else _interval_parts(axis, found)
    return tag(
        "svg",
        *parts,
        class_=f"interval {kind}",
        viewBox=f"0 0 {number(ROW_WIDTH)} {number(ROW_HEIGHT)}",
        aria_hidden="true",
    )


def _interval_parts(axis: Axis, found: Interval) -> list[Markup]:
    """Zero's line, the interval and its mean."""
    middle = ROW_HEIGHT / 2
    parts = []
    if axis.low < 0 < axis.high:
        zero = axis.place(0)
        parts.append(tag("line", class_="zero", x1=zero, x2=zero, y1=0, y2=ROW_HEIGHT))
    if found.low is not None and found.high is not None:
        low, high = axis.place(found.low), axis.place(found.high)
        parts.append(tag("line", class_="bar", x1=low, x2=high, y1=middle, y2=middle))
        for end in (low, high):
            parts.append(
                tag("line", class_="bar", x1=end, x2=end, y1=middle - 3.5, y2=middle + 3.5)
            )
    return [*parts, tag("circle", class_="dot", cx=axis.place(found.mean), cy=middle, r=3.4)]


def draw_scale(axis: Axis) -> Markup:
    """The column's axis, for its header."""
    parts = [
        tag(
            "text",
            axis.write(value),
            class_="tick",
            x=min(max(axis.place(value), 13), ROW_WIDTH - 13),
            y=11,
            text_anchor="middle",
        )
        for value in axis.ticks(3)
    ]
    return tag(
        "svg",
        *parts,
        class_="interval scale",
        viewBox=f"0 0 {number(ROW_WIDTH)} {number(ROW_HEIGHT)}",
        aria_hidden="true",
    )
