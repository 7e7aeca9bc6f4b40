"""Bars of a number of each method, pooled and by level."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.figures.looks import series
from leaderboard.figures.svg import CHARACTER, Axis, bottom_axis, image, number, tag, widened

TOP, BASE = 8.0, 36.0
"""Above and below the bars; `BASE` is for the axis."""


@dataclass(frozen=True)
class Bars:
    """One method's bars, the first the main one; each holds the values of its seeds."""

    key: str
    columns: Sequence[Sequence[float]]


def bars_ends(rows: Sequence[Bars]) -> tuple[float, float]:
    """The ends of an axis with zero and all values of `rows` on it."""
    return widened([0.0, *(v for row in rows for column in row.columns for v in column)])


def draw_bars(
    name: str,
    description: str,
    rows: Sequence[Bars],
    ends: tuple[float, float],
    axis_name: str,
    write: Callable[[float], str],
) -> Markup:
    """Bars of means to the right of the methods' names, a dot a seed, a cross where undefined.

    Args:
        name: of the figure.
        description: what it shows.
        rows: at least one.
        ends: of the axis; figures to be compared share them.
        axis_name: what the axis is called.
        write: how its ticks are written.
    """
    left = CHARACTER * max(len(row.key) for row in rows) + 10
    thick, thin = 8.0, 5.0
    step = thick + thin * (len(rows[0].columns) - 1) + 8
    height = TOP + step * len(rows) + BASE
    x = Axis(*ends, left, left + 210, write)
    zero = x.place(0)
    drawn = []
    for place, row in enumerate(rows):
        top = TOP + step * place
        parts = [
            tag(
                "text",
                row.key,
                class_="name",
                x=left - 6,
                y=top + (step - 8) / 2 + 4,
                text_anchor="end",
            )
        ]
        for index, column in enumerate(row.columns):
            size = thin if index else thick
            parts += _draw_bar(column, x, top, size, "level" if index else "pooled")
            top += size
        drawn.append(series(row.key, *parts))
    axis = bottom_axis(x, TOP, height - BASE, axis_name)
    line = tag("line", class_="zero", x1=zero, x2=zero, y1=TOP - 4, y2=height - BASE)
    return image(left + 222, height, name, description, axis, *drawn, line, class_="figure")


def _draw_bar(column: Sequence[float], x: Axis, top: float, size: float, kind: str) -> list[Markup]:
    """The bar of one column."""
    zero, middle = x.place(0), top + size / 2
    if not column:
        path = f"M{number(zero - 2)} {number(middle - 2)}l4 4m-4 0l4 -4"
        return [tag("path", class_="cross", d=path)]
    end = x.place(sum(column) / len(column))
    bar = tag(
        "rect",
        class_=kind,
        x=min(zero, end),
        y=top + 0.5,
        width=max(abs(end - zero), 0.6),
        height=size - 1,
    )
    if len(column) == 1:
        return [bar]
    return [bar, *(tag("circle", class_="seed", cx=x.place(v), cy=middle, r=1.5) for v in column)]
