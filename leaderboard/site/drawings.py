"""Figures of lines and of points, every method named at the right of the plot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.site.intervals import Interval
from leaderboard.site.looks import dash_of, series
from leaderboard.site.svg import (
    CHARACTER,
    LINE,
    Axis,
    bottom_axis,
    image,
    left_axis,
    number,
    spread,
    tag,
    widened,
)

WIDTH, HEIGHT, LEFT, TOP, BASE = 330.0, 262.0, 46.0, 24.0, 36.0
"""Of a figure's plot, without the names to its right; `LEFT` and `BASE` are for its axes."""


@dataclass(frozen=True)
class Line:
    """One method's line.

    Args:
        key: the method.
        points: (x, y), at least one; a single one is drawn as a dot.
        band: (x, low, high) along the line; empty without one.
        label: its name in the figure.
    """

    key: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    label: str = ""


@dataclass(frozen=True)
class Scale:
    """What a figure's axis is called, how its ticks are written, and its ends where they are given.

    `low` and `high` are the data's where they are null.
    """

    name: str
    write: Callable[[float], str]
    low: float | None = None
    high: float | None = None
    log: bool = False

    def axis(self, values: Sequence[float], start: float, end: float) -> Axis:
        """The axis for `values` from place `start` to `end`."""
        low, high = (min(values), max(values)) if self.log else widened(values)
        return Axis(
            low if self.low is None else self.low,
            high if self.high is None else self.high,
            start,
            end,
            self.write,
            self.log,
        )


def draw_lines(
    name: str, description: str, lines: Sequence[Line], x_scale: Scale, y_scale: Scale
) -> Markup:
    """Lines with their names to the right, joined to their ends by thin leaders.

    A single dot has no leader, which would cross the lines: its name carries a dot.
    """
    height = max(HEIGHT, TOP + BASE + LINE * len(lines))
    labels = [_label(line) for line in lines]
    right = WIDTH + 22
    width = right + CHARACTER * max(map(len, labels)) + 4
    x = x_scale.axis([px for line in lines for px, _ in line.points], LEFT, WIDTH)
    bounds = [v for line in lines for _, low, high in line.band for v in (low, high)]
    tops = [py for line in lines for _, py in line.points] + bounds
    y = y_scale.axis(tops, height - BASE, TOP)
    ends = [y.place(line.points[-1][1]) for line in lines]
    places = spread(ends, TOP, height - BASE)
    faint = min(0.12, 0.6 / len(lines))  # many bands would hide the lines
    drawn = [
        _draw_line(line, label, x, y, (right, place), faint)
        for line, label, place in zip(lines, labels, places, strict=True)
    ]
    axes = _axes(x, y, height, x_scale, y_scale)
    return image(width, height, name, description, axes, *drawn, class_="figure")


def _label(line: Line) -> str:
    """The name of `line` in a figure."""
    return f"● {line.label or line.key}" if len(line.points) == 1 else line.label or line.key


def _axes(x: Axis, y: Axis, height: float, x_scale: Scale, y_scale: Scale) -> Markup:
    """Both axes with their names; that of the left one stands above it."""
    name = tag("text", y_scale.name, class_="axis", x=2, y=12)
    bottom = bottom_axis(x, TOP, height - BASE, x_scale.name)
    return name + bottom + left_axis(y, LEFT, WIDTH)


def _draw_line(
    line: Line, label: str, x: Axis, y: Axis, name: tuple[float, float], faint: float
) -> Markup:
    """One line, its band of opacity `faint`, its leader and its name at `name`."""
    places = [(x.place(px), y.place(py)) for px, py in line.points]
    parts = []
    if line.band:
        upper = [(x.place(px), y.place(high)) for px, _, high in line.band]
        lower = [(x.place(px), y.place(low)) for px, low, _ in reversed(line.band)]
        parts.append(tag("polygon", class_="band", opacity=faint, points=_points([*upper, *lower])))
    if len(places) == 1:
        parts.append(tag("circle", class_="point", cx=places[0][0], cy=places[0][1], r=4))
    else:
        dash = dash_of(line.key)
        parts.append(tag("polyline", class_="line", points=_points(places), stroke_dasharray=dash))
        parts.append(_leader(places[-1], name))
    parts.append(tag("text", label, class_="name", x=name[0], y=name[1] + 4))
    return series(line.key, *parts)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{number(px)},{number(py)}" for px, py in places)


def _leader(start: tuple[float, float], name: tuple[float, float]) -> Markup:
    """A thin line from where something is drawn to its name."""
    ends = [(start[0] + 4, start[1]), (name[0] - 12, name[1]), (name[0] - 3, name[1])]
    return tag("polyline", class_="leader", points=_points(ends))


@dataclass(frozen=True)
class Point:
    """One method's cost and quality; `interval` is of the quality."""

    key: str
    x: float
    interval: Interval


def draw_points(
    name: str, description: str, points: Sequence[Point], x_scale: Scale, y_scale: Scale
) -> Markup:
    """Points with intervals, named to the right; those of equal cost stand side by side."""
    height = max(HEIGHT, TOP + BASE + LINE * len(points))
    right = WIDTH + 22
    width = right + CHARACTER * max(len(point.key) for point in points) + 4
    x = x_scale.axis([point.x for point in points], LEFT + 6, WIDTH - 30)
    found = [point.interval for point in points]
    ends = [v for each in found for v in (each.mean, each.low, each.high) if v is not None]
    y = y_scale.axis(ends, height - BASE, TOP)
    places = spread([y.place(each.mean) for each in found], TOP, height - BASE)
    beside = _side_by_side([x.place(point.x) for point in points])
    drawn = []
    for point, px, place in zip(points, beside, places, strict=True):
        py = y.place(point.interval.mean)
        parts = []
        if point.interval.low is not None and point.interval.high is not None:
            low, high = y.place(point.interval.low), y.place(point.interval.high)
            parts.append(tag("line", class_="whisker", x1=px, x2=px, y1=low, y2=high))
        parts.append(tag("circle", class_="point", cx=px, cy=py, r=3.4))
        parts.append(_leader((px, py), (right, place)))
        parts.append(tag("text", point.key, class_="name", x=right, y=place + 4))
        drawn.append(series(point.key, *parts))
    axes = _axes(x, y, height, x_scale, y_scale)
    return image(width, height, name, description, axes, *drawn, class_="figure")


def _side_by_side(places: Sequence[float], apart: float = 5.0) -> list[float]:
    """`places`, those within a pixel of each other moved `apart`, about where they were."""
    order = sorted(range(len(places)), key=lambda index: (places[index], index))
    runs: list[list[int]] = []
    for index in order:
        if runs and places[index] - places[runs[-1][0]] < 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    moved = list(places)
    for run in runs:
        for position, index in enumerate(run):
            moved[index] += (position - (len(run) - 1) / 2) * apart
    return moved
