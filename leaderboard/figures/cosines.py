"""Cosine matrices of rows as small pictures on one colour scale, framed by the names of levels.

The scale is ColorBrewer's RdBu (Brewer 2002), told apart by the colour-blind: blue -1, red 1.
"""

import io
import itertools
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
from PIL import Image

from leaderboard.figures.axes import Scale
from leaderboard.figures.render import PICTURE, Content, Figure, layer, layered
from leaderboard.figures.theme import SOFT, as_is
from leaderboard.records.cells import Cell
from leaderboard.records.diagnostics import TEXT, StageArrays
from leaderboard.records.parts import Spectrum
from leaderboard.render.numbers import STAGE_NAMES, score

MOST_PIXELS = 128
"""Along a side; larger matrices are drawn by the means of blocks of cosines."""
SHADES = 101
"""Steps from -1 to 1, so .02 each: what an eye cannot tell apart need not be stored."""
SIDE, LEFT, TOP = 140.0, 24.0, 16.0
"""Of the picture, and around it for the names."""

ANCHORS = (
    *("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
    *("#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"),
)

Floats = npt.NDArray[np.floating]


def palette() -> npt.NDArray[np.uint8]:
    """[SHADES, 3] red, green and blue of the scale."""
    anchors = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in ANCHORS], dtype=float)
    places = np.linspace(0, len(ANCHORS) - 1, SHADES)
    columns = [np.interp(places, np.arange(len(ANCHORS)), anchors[:, i]) for i in range(3)]
    return np.round(np.stack(columns, axis=1)).astype(np.uint8)


def picture(matrix: Floats) -> bytes:
    """`matrix` [m, m], values in [-1, 1], as a PNG with indexed colours.

    Blocks of k × k are drawn by their means, k the least that leaves at most `MOST_PIXELS` rows.
    """
    block = max(1, -(-len(matrix) // MOST_PIXELS))
    means = np.asarray(Image.fromarray(matrix.astype(np.float32)).reduce(block))
    shades = np.round((np.clip(means, -1, 1) + 1) / 2 * (SHADES - 1)).astype(np.uint8)
    drawn = Image.fromarray(shades)
    drawn.putpalette(palette().tobytes())
    content = io.BytesIO()
    drawn.save(content, "PNG", optimize=True)
    return content.getvalue()


def cosines(cell: Cell, stage: str, arrays: StageArrays) -> Figure:
    """The cosine matrix of the rows of `cell` at `stage`."""
    key, seed = cell.record.method.key, cell.record.seed
    labels = arrays.cosine_labels
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    starts = [int(labels[low]) for low in edges[:-1]]
    names = ["text" if start == TEXT else f"L{start + 1}" for start in starts]
    numbers = cell.record.diagnostics.get(stage)
    return Figure(
        f"Cosines of {key}, seed {seed}, {STAGE_NAMES[stage]}",
        "no numbers recorded" if numbers is None else _in_words(numbers),
        _framed(tuple(edges), tuple(names)),
        (LEFT, TOP, 2.0, 2.0),
        heading=f"{key}, seed {seed}",
        picture=picture(arrays.cosine),
    )


@lru_cache(maxsize=8)
def _framed(edges: tuple[int, ...], names: tuple[str, ...]) -> Content:
    """The frame of a matrix: its blocks' boundaries and names, the same for all of its kind."""
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    blocks = [{"at": at, "name": name} for at, name in zip(middles, names, strict=True)]
    boundaries = [{"at": edge} for edge in edges[1:-1]]
    along: dict[str, Any] = {"field": "at", "type": "quantitative", "axis": None}
    along["scale"] = alt.Scale(domain=[0, edges[-1]], nice=False, zero=False)
    down = along | {"scale": alt.Scale(domain=[edges[-1], 0], nice=False, zero=False)}
    picture = {"url": PICTURE, "width": SIDE, "height": SIDE, "aspect": False, "smooth": False}
    picture |= {"align": "left", "baseline": "top", "aria": False}
    corner = {"x": alt.value(0), "y": alt.value(0)}
    line = {"color": "black", "strokeWidth": 0.7, "aria": False}
    text = {"fontSize": 9, "color": SOFT, "aria": False}
    name = {"text": alt.Text(field="name", type="nominal")}
    above = {"x": alt.X(**along), "y": alt.value(-8)}
    beside = {"x": alt.value(-3), "y": alt.Y(**down)}
    layers = [
        layer("picture", "image", corner, rows=[{}], style=picture),
        layer("edge", "rule", {"x": alt.X(**along)}, rows=boundaries, style=line),
        layer("edge_across", "rule", {"y": alt.Y(**down)}, rows=boundaries, style=line),
        layer("tick", "text", name | above, rows=blocks, style=text),
        layer("tick_across", "text", name | beside, rows=blocks, style=text | {"align": "right"}),
    ]
    return layered(layers, SIDE, SIDE)


def color_scale() -> Figure:
    """The colours of all matrices, from -1 to 1."""
    ends = np.linspace(-1, 1, SHADES + 1).tolist()
    rows = [
        {"low": low, "high": high, "color": "#" + bytes(shade).hex()}
        for (low, high), shade in zip(itertools.pairwise(ends), palette(), strict=True)
    ]
    across = alt.X(field="low", **Scale("cosine", count=4).channel((-1.0, 1.0)))
    channels = {"x": across, "x2": alt.X2(field="high"), "fill": as_is(alt.Fill, "color")}
    chart = layered([layer("ramp", "rect", channels)], 160.0, 12.0, "ramp")
    return Figure("Cosines", "From -1, blue, to 1, red.", chart, (0, 0, 0, 0), {"ramp": rows})


def _in_words(numbers: Spectrum) -> str:
    """What a cosine matrix shows, for those who do not see it."""
    within = ", ".join(score(value, 2) for value in numbers.cosine_within_level)
    return (
        f"Mean cosine of the new rows {score(numbers.cosine_mean, 2)}; within each level {within};"
        f" across levels {score(numbers.cosine_across_levels, 2)}; mean of each row's nearest text"
        f" row {score(numbers.text_affinity, 2)}."
    )
