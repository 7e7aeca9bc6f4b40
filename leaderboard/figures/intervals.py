"""Intervals drawn in a table's cells, on one axis for a whole column: small inline SVG.

Colours are CSS classes, so that a drawing follows the page's theme.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Steps between ticks, times a power of ten."""


def number(value: float) -> str:
    """A coordinate: two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def tag(name: str, *children: str, **attributes: str | float) -> Markup:
    """`<name attributes>children</name>`.

    Text that is no Markup is escaped; `_` in an attribute's name stands for `-`, one at its end is
    dropped (`class_`).
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="'
        f'{escape(value) if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{shown}>{inside}</{name}>")


@dataclass(frozen=True)
class Axis:
    """From values to places along one axis.

    Args:
        low: value at `start`.
        high: value at `end`.
        start: place of `low`.
        end: place of `high`.
        write: a tick's value as text.
    """

    low: float
    high: float
    start: float
    end: float
    write: Callable[[float], str]

    def place(self, value: float) -> float:
        """Where `value` lies; values beyond the ends lie at them."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks_at_least(self, fewest: int) -> list[float]:
        """At least `fewest` round values within the ends: the coarsest such."""
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(span))
        steps = sorted({each * power / down for each in ROUND for down in (1, 10)}, reverse=True)
        return next(
            found
            for step in steps
            if len(found := self._multiples(step)) >= fewest or step == steps[-1]
        )

    def _multiples(self, step: float) -> list[float]:
        """The multiples of `step` within the ends."""
        least, most = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(place * step, 12) for place in range(least, most + 1)]


def widened(values: Sequence[float], share: float = 0.04) -> tuple[float, float]:
    """The least and greatest of `values` with a margin; any two where there is no span."""
    low, high = min(values), max(values)
    margin = (high - low) * share or abs(high) * 0.5 or 1.0
    return low - margin, high + margin


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; an undefined interval is null."""

    mean: float
    low: float | None
    high: float | None


ROW_WIDTH, ROW_HEIGHT = 100.0, 16.0
"""Of an interval in a table's cell."""
FEWEST_TICKS = 3
TICK_CHARACTER = 6.0
"""Width of a digit on the scale, in user units."""


def interval_axis(found: Sequence[Interval], write: Callable[[float], str], zero: bool) -> Axis:
    """One axis for all intervals of a column.

    Args:
        found: the column's intervals.
        write: how a tick is written.
        zero: whether they are differences, which are read from zero; else they are scores, which
            cannot be below 0 or above 1: the axis ends there, whatever an interval says.
    """
    values = [v for each in found for v in (each.mean, each.low, each.high) if v is not None]
    low, high = widened([*values, *([0.0] if zero else [])]) if values else (0.0, 1.0)
    if not zero:
        low, high = max(low, 0.0), min(high, 1.0)
    return Axis(low, high, 4, ROW_WIDTH - 4, write)


def beyond_scores(low: float | None, high: float | None) -> bool:
    """Whether the interval of a score reaches where no score can be."""
    return (low is not None and low < 0) or (high is not None and high > 1)


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
        for value, end in ((found.low, low), (found.high, high)):
            if axis.low <= value <= axis.high:  # what is cut off has no end to show
                parts.append(
                    tag("line", class_="bar", x1=end, x2=end, y1=middle - 3.5, y2=middle + 3.5)
                )
    return [*parts, tag("circle", class_="dot", cx=axis.place(found.mean), cy=middle, r=3.4)]


def draw_scale(axis: Axis) -> Markup:
    """The column's axis, for its header: a mark at each tick, those with room for it named."""
    values = axis.ticks_at_least(FEWEST_TICKS)
    ends = [axis.place(value) for value in values]
    parts = [tag("line", class_="mark", x1=end, x2=end, y1=13, y2=16) for end in ends]
    for value, place in _named(axis, values):
        parts.append(
            tag("text", axis.write(value), class_="tick", x=place, y=11, text_anchor="middle")
        )
    return tag(
        "svg",
        *parts,
        class_="interval scale",
        viewBox=f"0 0 {number(ROW_WIDTH)} {number(ROW_HEIGHT)}",
        aria_hidden="true",
    )


def _named(axis: Axis, values: Sequence[float]) -> list[tuple[float, float]]:
    """The ticks that have room for their names, zero first, with where the names stand."""
    taken: list[tuple[float, float, float]] = []
    for value in sorted(values, key=lambda each: (each != 0, each)):
        half = TICK_CHARACTER * len(axis.write(value)) / 2
        place = min(max(axis.place(value), half), ROW_WIDTH - half)
        if all(abs(place - other) >= half + room + 2 for _, other, room in taken):
            taken.append((value, place, half))
    return sorted((value, place) for value, place, _ in taken)
