"""Charts of lines and of points, every method named at the right of the plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from leaderboard.board.method_rows import BASE
from leaderboard.figures.axes import Scale
from leaderboard.figures.intervals import Interval, widened
from leaderboard.figures.palette import Appearance
from leaderboard.figures.render import Channels, Figure, Rows, layer, layered
from leaderboard.figures.theme import CHARACTER, INK, LINE, METHOD, SOFT, as_is

WIDTH, HEIGHT = 338.0, 202.0
"""Of a plot; it is higher where many names stand beside it."""
LEFT, TOP, BOTTOM = 46.0, 24.0, 36.0
"""Around a plot, for its axes."""
LEADER, SAMPLE, NAME = WIDTH + 31, WIDTH + 34, WIDTH + 52
"""Where a leader ends, where a sample of a method's look begins, and where its name does."""
CROWDED = 6
"""Beyond so many methods all but the reference and what is pointed at are drawn quieter."""
APART = 5.0
"""Pixels between points of equal cost."""

DOT = {"filled": True, "opacity": 1, "size": 40}
RING = {"filled": False, "fill": None, "opacity": 1, "size": 130, "strokeWidth": 1.4}
STEPS = {
    **{"color": SOFT, "strokeDash": [4, 3], "strokeWidth": 1.4},
    **{"interpolate": "step-after", "aria": False},
}
ON_FRONT = alt.FilterTransform(filter="datum.front")
EACH_POINT = alt.FlattenTransform(flatten=["x", "y", "low", "high"])
LONG, SINGLE = alt.FilterTransform(filter="!datum.dot"), alt.FilterTransform(filter="datum.dot")
STRENGTHS = {
    "base": {"width": 2.6, "line": 1.0, "band": 0.16, "thin": 1.0, "whisker": 2.0, "faint": 0.9},
    "plain": {"width": 1.6, "line": 1.0, "band": 0.1, "thin": 0.6, "whisker": 1.1, "faint": 1.0},
    "quiet": {"width": 1.2, "line": 0.6, "band": 0.0, "thin": 0.6, "whisker": 1.1, "faint": 0.3},
}
"""Widths (`width`, of leaders `thin`, `whisker`) and opacities (the rest) of what is drawn."""

STROKE: Channels = {**METHOD, "stroke": as_is(alt.Stroke, "color")}
FILL: Channels = {**METHOD, "fill": as_is(alt.Fill, "color")}
DASHED: Channels = {
    **STROKE,
    "strokeDash": as_is(alt.StrokeDash, "dash"),
    "strokeWidth": as_is(alt.StrokeWidth, "width"),
}
LED: Channels = {
    **STROKE,
    "strokeWidth": as_is(alt.StrokeWidth, "thin"),
    "opacity": as_is(alt.Opacity, "faint"),
    "x2": alt.value(LEADER),
    "y2": alt.Y2(field="place"),
}
WHISKER: Channels = {
    **STROKE,
    "strokeWidth": as_is(alt.StrokeWidth, "whisker"),
    "opacity": as_is(alt.Opacity, "faint"),
    "y2": alt.Y2(field="high"),
}
BAND: Channels = {**FILL, "opacity": as_is(alt.Opacity, "band"), "y2": alt.Y2(field="high")}


@dataclass(frozen=True)
class Series:
    """One method's line.

    Args:
        key: the method.
        look: how it is drawn.
        points: (x, y), at least one; a single one is drawn as a dot.
        band: (low, high) at each point; empty without one.
        label: its name in the figure.
    """

    key: str
    look: Appearance
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()
    label: str = ""


@dataclass(frozen=True)
class Point:
    """One method's cost and quality; `interval` is of the quality."""

    key: str
    look: Appearance
    x: float
    interval: Interval


def draw_lines(
    name: str, description: str, lines: Sequence[Series], x: Scale, y: Scale, heading: str = ""
) -> Figure:
    """Lines with their names to the right, joined to their ends by thin leaders.

    A single dot has no leader, which would cross the lines: beside its name stands a dot.
    """
    height = max(HEIGHT, LINE * len(lines))
    bounds = [value for line in lines for pair in line.band for value in pair]
    x_ends = x.ends([place for line in lines for place, _ in line.points])
    y_ends = y.ends([value for line in lines for _, value in line.points] + bounds)
    places = y.labels([line.points[-1][1] for line in lines], y_ends, height)
    rows: Rows = []
    for line, own in zip(lines, places, strict=True):
        places_x, values = ([point[side] for point in line.points] for side in (0, 1))
        row = _row(line.key, line.label or line.key, line.look, own, len(lines))
        row |= {"x": places_x, "y": values, "last_x": places_x[-1], "last_y": values[-1]}
        row |= {"low": [low for low, _ in line.band] or values, "dot": len(values) == 1}
        row |= {"high": [high for _, high in line.band] or values}
        rows.append(row)
    across, up = x.channel(x_ends), y.channel(y_ends)
    along: Channels = {
        "x": alt.X(field="x", **across),
        "detail": alt.Detail(field="method", type="nominal"),
    }
    last: Channels = {"x": alt.X(field="last_x", **across), "y": alt.Y(field="last_y", **up)}
    drawn = along | DASHED | {"y": alt.Y(field="y", **up), "opacity": as_is(alt.Opacity, "line")}
    layers = [layer("line", "line", drawn, transform=[EACH_POINT])]
    if bounds:
        band = along | BAND | {"y": alt.Y(field="low", **up)}
        layers.insert(0, layer("band", "area", band, transform=[EACH_POINT]))
    place = alt.Y(field="place", **up)
    layers.append(layer("leader", "rule", last | LED, transform=[LONG]))
    sample = DASHED | {"x": alt.value(SAMPLE), "x2": alt.value(SAMPLE + 14), "y": place}
    layers.append(layer("sample", "rule", sample, transform=[LONG]))
    if any(row["dot"] for row in rows):
        layers.append(layer("point", "point", last | FILL, transform=[SINGLE], style=DOT))
        layers.append(_dots_beside("sample_dot", place, transform=[SINGLE]))
    return _figure(name, description, heading, height, rows, [*layers, _names(place)])


def draw_points(
    name: str,
    description: str,
    points: Sequence[Point],
    x: Scale,
    y: Scale,
    front: Sequence[str] = (),
) -> Figure:
    """Points with intervals, named to the right; those of equal cost stand side by side.

    Those of the methods in `front`, which come in the order of their costs, have a ring, and steps
    lead from one to the next and to the end of the axis.
    """
    height = max(HEIGHT, LINE * len(points))
    found = [point.interval for point in points]
    x_ends = widened([point.x for point in points], share=0.08)
    y_ends = y.ends([v for i in found for v in (i.mean, i.low, i.high) if v is not None])
    places = y.labels([each.mean for each in found], y_ends, height)
    beside = _side_by_side([point.x for point in points], (x_ends[1] - x_ends[0]) / WIDTH)
    rows: Rows = []
    for point, at, own in zip(points, beside, places, strict=True):
        row = _row(point.key, point.key, point.look, own, len(points))
        mean, low, high = point.interval.mean, point.interval.low, point.interval.high
        whole = low is not None and high is not None
        row |= {"x": at, "y": mean, "low": low if whole else mean, "high": high if whole else mean}
        rows.append(row | {"front": point.key in front})
    up, place = y.channel(y_ends), alt.Y(field="place", **y.channel(y_ends))
    across: Channels = {"x": alt.X(field="x", **x.channel(x_ends))}
    middle = across | {"y": alt.Y(field="y", **up)}
    layers = [
        layer("whisker", "rule", across | WHISKER | {"y": alt.Y(field="low", **up)}),
        layer("point", "point", middle | FILL, style=DOT),
        layer("leader", "rule", middle | LED),
        _dots_beside("sample", place),
        _names(place),
    ]
    if front:
        ahead = {row["method"]: {"x": row["x"], "y": row["y"]} for row in rows}
        steps = [*(ahead[key] for key in front), ahead[front[-1]] | {"x": x_ends[1]}]
        layers.insert(0, layer("front", "line", middle, rows=steps, style=STEPS))
        layers.append(layer("ring", "point", middle | STROKE, transform=[ON_FRONT], style=RING))
    return _figure(name, description, "", height, rows, layers)


def _row(key: str, label: str, look: Appearance, place: float, count: int) -> dict[str, Any]:
    """What is drawn of one method: its look, and its name at height `place`."""
    strength = "base" if key == BASE else "quiet" if count > CROWDED else "plain"
    return {
        "method": key,
        "label": label,
        "color": look.color,
        "dash": look.dash,
        "place": place,
        **STRENGTHS[strength],
    }


def _names(place: alt.Y) -> alt.UnitSpec:
    """The methods' names."""
    text = {"x": alt.value(NAME), "y": place, "text": alt.Text(field="label", type="nominal")}
    style = {"align": "left", "color": INK}
    return layer("name", "text", METHOD | text, style=style)


def _dots_beside(name: str, place: alt.Y, transform: Sequence[alt.Transform] = ()) -> alt.UnitSpec:
    """Dots beside the names of what is drawn as dots."""
    channels = FILL | {"x": alt.value(SAMPLE + 7), "y": place}
    return layer(name, "point", channels, transform=transform, style=DOT)


def _side_by_side(places: Sequence[float], pixel: float) -> list[float]:
    """`places`, those within a pixel of each other moved apart, about where they were."""
    order = sorted(range(len(places)), key=lambda index: (places[index], index))
    runs: list[list[int]] = []
    for index in order:
        if runs and places[index] - places[runs[-1][0]] < pixel:
            runs[-1].append(index)
        else:
            runs.append([index])
    moved = list(places)
    for run in runs:
        for position, index in enumerate(run):
            moved[index] += (position - (len(run) - 1) / 2) * APART * pixel
    return moved


def _figure(
    name: str,
    description: str,
    heading: str,
    height: float,
    rows: Rows,
    layers: Sequence[alt.UnitSpec],
) -> Figure:
    """The layers over each other, the reference above all other methods."""
    rows.sort(key=lambda row: row["method"] == BASE)
    right = NAME - WIDTH + CHARACTER * max(len(row["label"]) for row in rows) + 4
    return Figure(
        name,
        description,
        layered(layers, WIDTH, height, name),
        (LEFT, TOP, right, BOTTOM),
        {name: rows},
        heading,
    )
