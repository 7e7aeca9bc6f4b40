"""Inline SVG by hand: elements whose text is escaped, axes, ticks, labels that do not collide.

Nothing here knows of records. Colours are CSS classes, so that a figure follows the page's theme;
equal input gives equal bytes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

CHARACTER = 6.9
"""Width of a character of a figure's text, in user units; an upper estimate."""
LINE = 14.0
"""Least distance of two labels."""
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Steps between ticks, times a power of ten."""


def number(value: float) -> str:
    """A coordinate: two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`.

    Text that is no Markup is escaped; `_` in an attribute's name stands for `-`, one at its end is
    dropped (`class_`), and an attribute that is None is left out.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="'
        f'{escape(value) if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{shown}>{inside}</{name}>")


def image(
    width: float, height: float, name: str, description: str, *children: Markup, class_: str
) -> Markup:
    """An SVG that says its `name` and `description` to those who do not see it.

    It is drawn in a box of `width` × `height` and scales with the page.
    """
    return tag(
        "svg",
        tag("desc", description),
        *children,
        class_=class_,
        role="img",
        aria_label=f"{name}. {description}",
        viewBox=f"0 0 {number(width)} {number(height)}",
        style=f"--width: {number(width)}px",
    )


@dataclass(frozen=True)
class Axis:
    """From values to places along one axis.

    Args:
        low: value at `start`.
        high: value at `end`.
        start: place of `low`.
        end: place of `high`.
        write: a tick's value as text.
        log: whether the axis is logarithmic; then `low` is above 0.
    """

    low: float
    high: float
    start: float
    end: float
    write: Callable[[float], str]
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` lies; values beyond the ends lie at them."""
        low, high, value = (
            (math.log10(each) for each in (self.low, self.high, max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """At most `most` round values within the ends."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            apart = max(1, -(-(last - first + 1) // most))
            return [10.0**power for power in range(last, first - 1, -apart)][::-1]
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        raw = span / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(each * power for each in ROUND if each * power >= raw * 0.999)
        return self._multiples(step)

    def ticks_at_least(self, fewest: int) -> list[float]:
        """At least `fewest` round values within the ends of a linear axis: the coarsest such."""
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


def bottom_axis(axis: Axis, top: float, base: float, name: str) -> Markup:
    """Grid lines from `top` to `base`, ticks below, and the axis's name."""
    parts = []
    for value in axis.ticks():
        place = axis.place(value)
        parts.append(tag("line", class_="grid", x1=place, x2=place, y1=top, y2=base))
        parts.append(
            tag(
                "text", axis.write(value), class_="tick", x=place, y=base + 14, text_anchor="middle"
            )
        )
    middle = (axis.start + axis.end) / 2
    parts.append(tag("text", name, class_="axis", x=middle, y=base + 30, text_anchor="middle"))
    return Markup("").join(parts)


def left_axis(axis: Axis, left: float, right: float) -> Markup:
    """Grid lines from `left` to `right` and ticks to their left."""
    parts = []
    for value in axis.ticks():
        place = axis.place(value)
        parts.append(tag("line", class_="grid", x1=left, x2=right, y1=place, y2=place))
        parts.append(
            tag(
                "text",
                axis.write(value),
                class_="tick",
                x=left - 5,
                y=place + 3.5,
                text_anchor="end",
            )
        )
    return Markup("").join(parts)


def spread(places: Sequence[float], low: float, high: float, gap: float = LINE) -> list[float]:
    """`places` moved as little as needed so that neighbours are `gap` apart within [low, high].

    Where there is no room for that, they stand evenly.
    """
    if not places:
        return []
    if gap * (len(places) - 1) > high - low:
        gap = (high - low) / (len(places) - 1)
    order = sorted(range(len(places)), key=lambda index: (places[index], index))
    # Runs of labels that touch move together: each run stands at the mean of what it wishes for.
    runs: list[tuple[float, int]] = []
    for position, index in enumerate(order):
        wish, size = places[index] - gap * position, 1
        while runs and runs[-1][0] / runs[-1][1] > wish / size:
            last, count = runs.pop()
            wish, size = wish + last, size + count
        runs.append((wish, size))
    flat = [total / size for total, size in runs for _ in range(size)]
    top = high - gap * (len(places) - 1)
    moved = [0.0] * len(places)
    for position, index in enumerate(order):
        moved[index] = min(max(flat[position], low), top) + gap * position
    return moved
