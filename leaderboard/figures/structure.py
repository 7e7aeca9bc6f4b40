"""The figure of `leaderboard.board.structure`: rows' numbers against scores, stage by stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from leaderboard.board.method_rows import STAGES
from leaderboard.board.structure import NUMBERS, RANDOM, Association, Floats, Points
from leaderboard.figures.axes import Scale
from leaderboard.figures.intervals import widened
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Channels, Figure, layer, layered, save
from leaderboard.figures.theme import BACK, CHARACTER, INK, METHOD, as_is
from leaderboard.render.numbers import STAGE_NAMES
from leaderboard.render.structure import NAMES

WIDTH, HEIGHT = 210.0, 134.0
"""Of a panel's plot."""
MARGINS = (46.0, 24.0, 6.0, 36.0)
FEW_TICKS = 3
COLUMNS = 5
"""Of the legend."""


def draw_structure(points: Points, found: Sequence[Association], out: Path) -> list[Path]:
    """Draws `structure.svg`, `.png` and `.pdf` into the directory `out`; returns them."""
    panels = structure_panels(points, found)
    title = (caption(points, [points.metric]), READING)
    stages = len(next(iter(panels.values())))
    every = [panel for own in panels.values() for panel in own]
    legend = _legend(points)
    return save(every, out, "structure", title, columns=stages, below=legend)


READING = (
    "Spearman's ρ with 95 % interval over methods; *: shown after Holm's correction. Dashed: random"
    " rows, which know nothing: structure is not success."
)


def caption(points: Points, metrics: Sequence[str]) -> str:
    """What the figure shows, and of which settings."""
    settings = sorted(set(points.settings))
    where = settings[0] if len(settings) == 1 else f"{len(settings)} settings, ranks within each"
    seeds = "" if max(points.seeds, default=0) == 0 else "; a sign for each seed"
    return f"Rows' structure against test {' and '.join(metrics)} · {where}{seeds}."


def structure_panels(points: Points, found: Sequence[Association]) -> dict[str, list[Figure]]:
    """Number → its panels, one for each stage at which some cell has a number.

    They show the only setting, or all settings by ranks within each.
    """
    settings = sorted(set(points.settings))
    group = settings[0] if len(settings) == 1 else None
    shown = {(each.stage, each.number): each for each in found if each.setting == group}
    stages = [s for s in STAGES if any(a.num_cells for a in shown.values() if a.stage == s)]
    return {name: [_panel(points, shown[stage, name]) for stage in stages] for name in NUMBERS}


def title_of(found: Association) -> str:
    """ρ with its interval, or why there is none."""
    if found.rho is None or found.low is None or found.high is None:
        return found.verdict
    star = " *" if found.verdict in ("rises with it", "falls with it") else ""
    text = f"ρ = {found.rho:+.2f} [{found.low:+.2f}, {found.high:+.2f}]{star}"
    return text.replace("-", "−")


def _panel(points: Points, found: Association) -> Figure:
    """One sign for each cell that has the number."""
    one = len(set(points.settings)) == 1
    values, scores = points.numbers[found.stage, found.number], points.scores
    there = ~np.isnan(values)
    if not one:
        values, scores = (_ranked(points, side, there) for side in (values, scores))
    methods = np.array(points.methods)[there].tolist()
    found_in = zip(methods, values[there].tolist(), scores[there].tolist(), strict=True)
    palette = Palette(points.cards.values())
    rows = [_row(key, palette) | {"value": value, "score": score} for key, value, score in found_in]
    rank = "" if one else ", rank in its setting"
    name = f"{NAMES[found.number]}, {STAGE_NAMES[found.stage]}"
    lines = [{"value": at} for at in _of_random(points, found, values[there], methods)]
    x, x_ends = _scale(name, [*values[there].tolist(), *(line["value"] for line in lines)])
    y, y_ends = _scale(f"test {points.metric}{rank}", scores[there].tolist())
    place = {
        "x": alt.X(field="value", **x.channel(x_ends)),
        "y": alt.Y(field="score", **y.channel(y_ends)),
    }
    style = {"color": INK, "strokeDash": [3, 2], "aria": False}
    dashed = layer("random", "rule", {"x": place["x"]}, rows=lines, style=style)
    source = f"{name} against {points.metric}"
    title = title_of(found)
    return Figure(
        name,
        f"{title}; {found.num_cells} cells of {found.num_methods} methods.",
        layered([*([dashed] if lines else []), _signs(place)], WIDTH, HEIGHT, source),
        MARGINS,
        {source: rows},
        title,
    )


def _legend(points: Points) -> Figure:
    """The signs of all methods with their names, whether a panel shows them or not."""
    palette = Palette(points.cards.values())
    keys = palette.ordered(points.cards)
    wide = CHARACTER * max(map(len, keys)) + 30
    rows = [
        _row(key, palette) | {"x": place % COLUMNS * wide, "y": place // COLUMNS * 16.0}
        for place, key in enumerate(keys)
    ]
    at: Channels = {"type": "quantitative", "axis": None, "scale": None}
    place: Channels = {"x": alt.X(field="x", **at), "y": alt.Y(field="y", **at)}
    text = place | {"text": alt.Text(field="method", type="nominal")}
    named = layer("name", "text", text, style={"align": "left", "dx": 8, "color": INK})
    chart = layered([_signs(place), named], COLUMNS * wide, 16.0, "methods")
    return Figure("Methods", "What each sign stands for.", chart, MARGINS, {"methods": rows})


def _row(method: str, palette: Palette) -> dict[str, Any]:
    """A method with its look."""
    look = palette.look(method)
    return {"method": method, "color": look.color, "sign": look.sign}


def _signs(place: Channels) -> alt.UnitSpec:
    """A sign for each row."""
    look = {"fill": as_is(alt.Fill, "color"), "shape": as_is(alt.Shape, "sign")}
    style = {"size": 32, "opacity": 1, "stroke": BACK, "strokeWidth": 0.5}
    return layer("sign", "point", METHOD | place | look, style=style)


def _ranked(points: Points, side: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    """[n] ranks of the cells `there` within their setting, between 0 and 1; NaN elsewhere."""
    found = np.full(len(side), np.nan)
    names = np.array(points.settings)
    for name in set(points.settings):
        own = there & (names == name)
        found[own] = (rankdata(side[own]) - 0.5) / max(1, own.sum())
    return found


def _scale(name: str, values: Sequence[float]) -> tuple[Scale, tuple[float, float]]:
    """The axis of a panel's side and its ends."""
    scale = Scale(name, count=FEW_TICKS)
    return scale, widened(values, share=0.06) if values else (0.0, 1.0)


def _of_random(
    points: Points, found: Association, values: Floats, methods: Sequence[str]
) -> list[float]:
    """Where random rows lie on a panel's axis: their number, or mean rank among several settings.

    Args:
        points: of which the panel shows those that have the number.
        found: what the panel shows.
        values: [n] on the axis.
        methods: [n] of the cells that `values` are of.
    """
    if found.setting is not None:
        at = points.random.get((found.setting, found.stage, found.number))
        return [] if at is None else [at]
    own = values[np.array(methods, dtype=np.str_) == RANDOM]
    return [float(own.mean())] if len(own) else []
