"""RSA against the codebooks: bars of each method by level, beside that of random rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from leaderboard.board.method_rows import STAGES
from leaderboard.board.series import rsa_columns
from leaderboard.board.structure import RANDOM
from leaderboard.figures.axes import Scale
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Channels, Figure, Mark, Rows, layer, layered
from leaderboard.figures.theme import BACK, CHARACTER, INK, METHOD, SOFT, as_is
from leaderboard.records.cells import Cell
from leaderboard.render.numbers import STAGE_NAMES, score

WIDTH, TOP, BOTTOM = 210.0, 8.0, 36.0
"""Of the bars, and what is left above and below them."""
THICK, THIN, GAP = 8.0, 5.0, 8.0
"""Heights of a method's first bar, of level 1, and of the others; what is left below the last."""
SEED = {"size": 9, "fill": BACK, "stroke": INK, "strokeWidth": 0.6, "opacity": 1}
CROSS = {"shape": "M-1,-1L1,1M-1,1L1,-1", "size": 16, "strokeWidth": 1.1, "opacity": 1}

Columns = Sequence[Sequence[float]]
"""The values of a method's seeds, bar by bar."""


def rsa(
    by_method: Mapping[str, Sequence[Cell]], levels: int, palette: Palette
) -> dict[str, Figure]:
    """Stage → bars of RSA against the codebooks, on one scale for all stages."""
    found = {
        stage: {
            key: rsa_columns([cell.record for cell in cells], stage, levels)
            for key, cells in by_method.items()
            if any(stage in cell.record.diagnostics for cell in cells)
        }
        for stage in STAGES
    }
    values = [v for own in found.values() for columns in own.values() for c in columns for v in c]
    ends = Scale("").ends([0.0, *values])
    return {stage: draw_bars(stage, own, ends, palette) for stage, own in found.items() if own}


def draw_bars(
    stage: str, by_method: Mapping[str, Columns], ends: tuple[float, float], palette: Palette
) -> Figure:
    """Bars of means beside the methods' names, a dot a seed, a cross where undefined.

    A dashed line stands at zero, and at the first bar of the method `random` if it is there.
    """
    rows: Rows = []
    lines: Rows = [{"value": 0.0}]
    if by_method.get(RANDOM) and by_method[RANDOM][0]:
        lines.append({"value": sum(by_method[RANDOM][0]) / len(by_method[RANDOM][0])})
    top = 0.0
    for key, columns in by_method.items():
        start, method = top, {"method": key, "color": palette.look(key).color}
        for index, values in enumerate(columns):
            size = THIN if index else THICK
            row = method | {"top": top + 0.5, "bottom": top + size - 0.5, "middle": top + size / 2}
            if values:
                mean, strength = sum(values) / len(values), 0.5 if index else 1.0
                rows.append(row | {"part": "bar", "value": mean, "strength": strength})
            else:
                rows.append(row | {"part": "cross", "value": 0.0})
            if len(values) > 1:
                rows += [row | {"part": "seed", "value": value} for value in values]
            top += size
        rows.append(method | {"part": "name", "middle": (start + top) / 2})
        top += GAP
    told = ", ".join(f"{key} {_in_words(columns[0])}" for key, columns in by_method.items())
    name = f"RSA {STAGE_NAMES[stage]}"
    left = CHARACTER * max(map(len, by_method)) + 10
    return Figure(
        name,
        f"Level 1: {told}.",
        layered(_layers(ends, top, lines), WIDTH, top, name),
        (left, TOP, 12.0, BOTTOM),
        {name: rows},
        STAGE_NAMES[stage],
    )


def _layers(ends: tuple[float, float], height: float, lines: Rows) -> list[alt.UnitSpec]:
    """Names, bars, seeds, crosses, `lines` at zero and at random rows; pixels from above."""
    across = Scale("Spearman's ρ").channel(ends)
    down: dict[str, Any] = {"type": "quantitative", "axis": None}
    down["scale"] = alt.Scale(domain=[height, 0], nice=False, zero=False)
    value, middle = alt.X(field="value", **across), alt.Y(field="middle", **down)
    at: Channels = METHOD | {"x": value, "y": middle}
    span = {
        "y": alt.Y(field="top", **down),
        "y2": alt.Y2(field="bottom"),
        "x2": {"datum": 0},
    }
    color = {"fill": as_is(alt.Fill, "color"), "opacity": as_is(alt.Opacity, "strength")}
    name = {"x": alt.value(-6), "text": alt.Text(field="method", type="nominal")}
    drawn = [
        _part("bar", "rect", {}, at | span | color),
        _part("seed", "point", SEED, at),
        _part("cross", "point", CROSS, at | {"stroke": as_is(alt.Stroke, "color")}),
        _part("name", "text", {"align": "right", "color": INK}, at | name),
    ]
    line = {"color": SOFT, "strokeDash": [2, 2], "aria": False}
    return [*drawn, layer("level", "rule", {"x": value}, rows=lines, style=line)]


def _part(name: str, mark: Mark, style: dict[str, Any], channels: Channels) -> alt.UnitSpec:
    """A chart layer that draws only the rows whose `part` is `name`."""
    kept = alt.FilterTransform(filter=f"datum.part == '{name}'")
    return layer(name, mark, channels, transform=[kept], style=style)


def _in_words(values: Sequence[float]) -> str:
    return score(sum(values) / len(values), 2) if values else "undefined"
