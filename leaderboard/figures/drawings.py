"""Figures of lines and of points, every method named at the right of the plot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.board.method_rows import BASE as BASE_METHOD
from leaderboard.figures.intervals import Interval
from leaderboard.figures.looks import dash_of, drawn_sample, sample, series
from leaderboard.figures.svg import (
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

WIDTH, HEIGHT, LEFT, TOP, BASE = 384.0, 262.0, 46.0, 24.0, 36.0
"""Of a figure's plot, without the names to its right; `LEFT` and `BASE` are for its axes."""
RIGHT = WIDTH + 34
"""Where a method's sample of colour and dash begins; its name follows."""
SAMPLE = 18.0
"""Width of that sample with the gap to the name."""
CROWDED = 6
"""Beyond so many methods all but the reference and what is pointed at are drawn quieter."""


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

    A single dot has no leader, which would cross the lines: beside its name stands a dot.
    """
    height = _height(len(lines))
    labels = [line.label or line.key for line in lines]
    x = x_scale.axis([px for line in lines for px, _ in line.points], LEFT, WIDTH)
    bounds = [v for line in lines for _, low, high in line.band for v in (low, high)]
    tops = [py for line in lines for _, py in line.points] + bounds
    y = y_scale.axis(tops, height - BASE, TOP)
    places = spread([y.place(line.points[-1][1]) for line in lines], TOP, height - BASE)
    drawn = {
        line.key: _draw_line(line, x, y, place) + _named(line.key, label, place, _is_dot(line))
        for line, label, place in zip(lines, labels, places, strict=True)
    }
    return _plot(name, description, _axes(x, y, height, x_scale, y_scale), drawn, labels, height)


def _height(count: int) -> float:
    """Of a figure with the names of `count` methods beside it."""
    return max(HEIGHT, TOP + BASE + LINE * count)


def _is_dot(line: Line) -> bool:
    """Whether `line` is drawn as a single dot."""
    return len(line.points) == 1


def _plot(
    name: str,
    description: str,
    axes: Markup,
    drawn: Mapping[str, Markup],
    labels: Sequence[str],
    height: float,
) -> Markup:
    """The figure: names beside the plot, and below it in a list for screens too narrow for that.

    The reference lies above all others. On a narrow screen the plot alone fills the width.
    """
    width = RIGHT + SAMPLE + CHARACTER * max(map(len, labels)) + 4
    ordered = sorted(drawn, key=lambda key: key == BASE_METHOD)
    parts = [series(key, drawn[key]) for key in ordered]
    shown = "figure crowded" if len(drawn) > CROWDED else "figure"
    figure = image(width, height, name, description, axes, *parts, class_=shown)
    entries = [
        tag("li", sample(key), " ", label, data_method=key)
        for key, label in zip(drawn, labels, strict=True)
    ]
    # The figure's description names them all already.
    names = tag("ul", *entries, class_="legend narrow", aria_hidden="true")
    style = f"--share: {number(width / (WIDTH + 8))}"
    return tag("div", figure, names, class_="plot", style=style)


def _named(key: str, label: str, place: float, dot: bool = False) -> Markup:
    """A sample of the method's look and its name, at height `place`."""
    name = tag("text", label, class_="name", x=RIGHT + SAMPLE, y=place + 4)
    return drawn_sample(key, RIGHT, place, dot) + name


def _axes(x: Axis, y: Axis, height: float, x_scale: Scale, y_scale: Scale) -> Markup:
    """Both axes with their names; that of the left one stands above it."""
    name = tag("text", y_scale.name, class_="axis", x=2, y=12)
    bottom = bottom_axis(x, TOP, height - BASE, x_scale.name)
    return name + bottom + left_axis(y, LEFT, WIDTH)


def _draw_line(line: Line, x: Axis, y: Axis, place: float) -> Markup:
    """One line, its band, and the leader to its name at height `place`."""
    places = [(x.place(px), y.place(py)) for px, py in line.points]
    if _is_dot(line):
        return tag("circle", class_="point", cx=places[0][0], cy=places[0][1], r=4)
    parts = []
    if line.band:
        upper = [(x.place(px), y.place(high)) for px, _, high in line.band]
        lower = [(x.place(px), y.place(low)) for px, low, _ in reversed(line.band)]
        parts.append(tag("polygon", class_="band", points=_points([*upper, *lower])))
    dash = dash_of(line.key)
    parts.append(tag("polyline", class_="line", points=_points(places), stroke_dasharray=dash))
    parts.append(_leader(places[-1], place))
    return Markup("").join(parts)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{number(px)},{number(py)}" for px, py in places)


def _leader(start: tuple[float, float], place: float) -> Markup:
    """A thin line from where something is drawn to its name at height `place`."""
    ends = [(start[0] + 4, start[1]), (RIGHT - 12, place), (RIGHT - 3, place)]
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
    height = _height(len(points))
    x = x_scale.axis([point.x for point in points], LEFT + 26, WIDTH - 26)
    found = [point.interval for point in points]
    ends = [v for each in found for v in (each.mean, each.low, each.high) if v is not None]
    y = y_scale.axis(ends, height - BASE, TOP)
    places = spread([y.place(each.mean) for each in found], TOP, height - BASE)
    beside = _side_by_side([x.place(point.x) for point in points])
    drawn = {}
    for point, px, place in zip(points, beside, places, strict=True):
        py = y.place(point.interval.mean)
        parts = []
        if point.interval.low is not None and point.interval.high is not None:
            low, high = y.place(point.interval.low), y.place(point.interval.high)
            parts.append(tag("line", class_="whisker", x1=px, x2=px, y1=low, y2=high))
        parts.append(tag("circle", class_="point", cx=px, cy=py, r=3.4))
        parts.append(_leader((px, py), place))
        parts.append(_named(point.key, point.key, place, dot=True))
        drawn[point.key] = Markup("").join(parts)
    keys = [point.key for point in points]
    return _plot(name, description, _axes(x, y, height, x_scale, y_scale), drawn, keys, height)


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
