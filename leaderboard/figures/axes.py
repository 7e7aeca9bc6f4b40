"""Axes of charts, and labels beside them that do not collide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from scipy.optimize import isotonic_regression

from leaderboard.figures.intervals import widened
from leaderboard.figures.theme import LINE

COMPACT = "replace(format(datum.value, '.6~g'), regexp('^(.?)0[.]'), '$1.')"
"""How a tick is written: `.04`, `500`, `1.5`, without zeros that say nothing."""
FLOPS = "replace(format(datum.value, '~s'), regexp('([A-Z])$'), ' $1')"
"""A tick in FLOPs: `5 T`."""
MOST_POWERS = 5


@dataclass(frozen=True)
class Scale:
    """What an axis is called, its ends where they are given, and its ticks.

    Args:
        name: what it is called; empty for an axis that is not drawn.
        low: its start; the data's where it is null.
        high: its end; the data's where it is null.
        kind: `linear`, `log`, or `symlog`: linear up to `linear_to`, logarithmic beyond.
        linear_to: of a `symlog` axis.
        write: Vega's expression of a tick's text.
        ticks: where they stand; null leaves that to Vega.
        count: about so many ticks of Vega's.
    """

    name: str
    low: float | None = None
    high: float | None = None
    kind: str = "linear"
    linear_to: float = 1.0
    write: str = COMPACT
    ticks: Sequence[float] | None = None
    count: int = 4

    def ends(self, values: Sequence[float]) -> tuple[float, float]:
        """From where to where the axis goes for `values`."""
        low, high = widened(values)
        return low if self.low is None else self.low, high if self.high is None else self.high

    def channel(self, ends: tuple[float, float]) -> dict[str, Any]:
        """What a channel says of the axis; values beyond its ends are drawn at them."""
        scale: dict[str, Any] = {"type": self.kind, "domain": list(ends), "clamp": True}
        if self.kind == "symlog":
            scale["constant"] = self.linear_to
        return {
            "type": "quantitative",
            "axis": self._axis(ends) if self.name else None,
            "scale": alt.Scale(nice=False, zero=False, **scale),
        }

    def _axis(self, ends: tuple[float, float]) -> alt.Axis:
        if self.kind == "log":
            found, text = powers(*ends)
            return alt.Axis(title=self.name, labelExpr=text, values=found)
        if self.ticks is None:
            return alt.Axis(title=self.name, labelExpr=self.write, tickCount=self.count)
        values = [tick for tick in self.ticks if ends[0] <= tick <= ends[1]]
        return alt.Axis(title=self.name, labelExpr=self.write, values=values)

    def labels(
        self, values: Sequence[float], ends: tuple[float, float], height: float
    ) -> list[float]:
        """`values` moved along the axis, `height` pixels long, until labels do not touch."""
        if self.kind == "log":
            exponents = Scale("").labels([math.log10(v) for v in values], _log(ends), height)
            return [10.0**exponent for exponent in exponents]
        low, high = ends
        # Measured downwards, so that of equal values the first is named first.
        down = [-min(max(value, low), high) for value in values]
        return [-place for place in spread(down, -high, -low, LINE * (high - low) / height)]


def _log(ends: tuple[float, float]) -> tuple[float, float]:
    return math.log10(ends[0]), math.log10(ends[1])


def powers(low: float, high: float, most: int = MOST_POWERS) -> tuple[list[float], str]:
    """At most `most` powers of ten within an axis, and the expression of their texts."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    apart = max(1, -(-(last - first + 1) // most))
    found = range(last, first - 1, -apart)
    texts = {f"{power}": _power(power) for power in found}
    return [10.0**power for power in found], f"{texts}[round(log(datum.value) / LN10)]"


def _power(exponent: int) -> str:
    """A power of ten: `.01`, `1e-6`; raised digits are in no font that comes with vl-convert."""
    if exponent < -4 or exponent > 4:
        return f"1e{exponent}"
    return f"{10.0**exponent:g}".removeprefix("0")


def spread(places: Sequence[float], low: float, high: float, gap: float) -> list[float]:
    """`places` moved as little as needed so that neighbours are `gap` apart within [low, high].

    Where there is no room for that, they stand evenly.
    """
    if not places:
        return []
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    nearest = isotonic_regression(np.array(places)[order] - steps).x
    moved = np.empty(len(places))
    moved[order] = np.clip(nearest, low, high - gap * (len(places) - 1)) + steps
    return list(moved.tolist())
