"""How fast a cost grows: measured points, slopes on logarithmic scales, and their tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate


@dataclass(frozen=True)
class Point:
    """What one value of an axis costs.

    Attributes:
        value: where on the axis.
        seconds: of processor time, per unit.
        peak: bytes held at the most, above those held before; null where it was not measured.
        cost: what the time is expected to be proportional to, per unit.
    """

    value: int
    seconds: float
    peak: int | None
    cost: float


@dataclass(frozen=True)
class Growth:
    """How one piece of a cell grows along an axis.

    Attributes:
        piece: what was run.
        unit: what the seconds are of.
        why: why the expected slope is what it is.
        memory_slope: slope that the peak may have.
        points: ascending by value.
    """

    piece: str
    unit: str
    why: str
    memory_slope: float
    points: tuple[Point, ...]

    def slopes(self, half: bool) -> tuple[float | None, float | None, float | None]:
        """Slopes of time, of its expectation and of the peak, over all or the last half."""
        points = last_half(self.points) if half else self.points
        values = [point.value for point in points]
        peaks = [(point.value, point.peak) for point in points if point.peak is not None]
        return (
            slope(values, [point.seconds for point in points]),
            slope(values, [point.cost for point in points]),
            slope([value for value, _ in peaks], [peak for _, peak in peaks]),
        )


def last_half(points: Sequence[Point]) -> Sequence[Point]:
    """The points of larger value, the one in the middle among them where there is one."""
    return points[len(points) // 2 :]


def slope(values: Sequence[float], amounts: Sequence[float]) -> float | None:
    """Exponent p of the power law `amount ∝ value^p` by least squares of the logarithms.

    Null where there are fewer than two values, or an amount is not above zero.
    """
    if len(set(values)) < 2 or min(amounts) <= 0:
        return None
    across, up = np.log(values), np.log(amounts)
    across = across - across.mean()
    return float(across @ (up - up.mean()) / (across @ across))


def points_table(axis: str, growths: Sequence[Growth]) -> str:
    """One line per value: milliseconds of processor time and MiB at the peak of each piece."""
    header = [axis]
    for growth in growths:
        header += [f"{growth.piece}, ms per {growth.unit}", "MiB"]
    rows = []
    for at in zip(*(growth.points for growth in growths), strict=True):
        row = [f"{at[0].value:,}"]
        for point in at:
            peak = "–" if point.peak is None else f"{point.peak / 2**20:,.1f}"
            row += [_digits(1000 * point.seconds), peak]
        rows.append(row)
    return _table(rows, header)


def slopes_table(growths: Sequence[Growth]) -> str:
    """One line per piece: slopes over the last half and the whole, each beside the expected one."""
    header = ["slope of", "time, last half", "expected", "whole", "expected", "peak, last half"]
    header += ["expected"]
    rows = []
    for growth in growths:
        time_half, cost_half, peak_half = growth.slopes(half=True)
        time_all, cost_all, _ = growth.slopes(half=False)
        shown = [time_half, cost_half, time_all, cost_all, peak_half, growth.memory_slope]
        rows.append([growth.piece, *(_exponent(each) for each in shown)])
    return _table(rows, header)


def reasons(growths: Sequence[Growth]) -> list[str]:
    """One line per piece: why its expected slope is what it is."""
    return [f"- {growth.piece}: {growth.why}" for growth in growths]


def _table(rows: list[list[str]], header: list[str]) -> str:
    alignment = ("left", *["right"] * (len(header) - 1))
    return tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=alignment)


def _digits(amount: float) -> str:
    """Three digits, and no exponent."""
    decimals = max(0, 2 - int(np.floor(np.log10(amount)))) if amount > 0 else 0
    return f"{amount:,.{decimals}f}"


def _exponent(value: float | None) -> str:
    return "–" if value is None else f"{value + 0.0:.2f}"
