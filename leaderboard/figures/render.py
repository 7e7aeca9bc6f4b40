"""Charts to files: SVG, PNG and PDF by vl-convert, without a browser or a network.

Equal charts give equal bytes: nothing in a file names a moment or a machine, and the font,
Liberation Sans, comes with vl-convert.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import altair as alt
import vl_convert
from altair.utils import schemapi

from leaderboard.figures.theme import FOR_FILES
from leaderboard.records.canonical import write_atomically

unchecked = schemapi.debug_mode(False)
"""Decorates what draws many charts: Altair does not check them against Vega-Lite's schema.

That takes three times as long as to draw them; the tests draw the same charts, checked.
"""

Rows = list[dict[str, Any]]
Mark = Literal["area", "image", "line", "point", "rect", "rule", "text"]
Channels = dict[str, Any]
"""Channel, as Vega-Lite calls it → its definition."""
Content = dict[str, Any]
"""A Vega-Lite chart as JSON has it."""
RESOURCES = re.compile(rb"^(?: */\w+ \d+ 0 R\n){2,}", re.MULTILINE)
"""Lines of a PDF, each of which names a resource and the object that it is."""
PICTURE = "data:,"
"""Stands in a chart for the address of its picture."""


@dataclass(frozen=True)
class Figure:
    """A chart with its words and its data.

    Args:
        name: what it is of, for those who do not see it.
        description: what it shows.
        chart: finds its rows under the names of `data`.
        data: name, which is this figure's alone → rows.
        margins: left, top, right and bottom of the plot, where its labels stand.
        heading: what tells it from others in one file.
        picture: a PNG that stands where the chart says `PICTURE`.
    """

    name: str
    description: str
    chart: Content
    margins: tuple[float, float, float, float]
    data: dict[str, Rows] = field(default_factory=dict)
    heading: str = ""
    picture: bytes | None = None


def layer(
    name: str,
    mark: Mark,
    channels: Channels,
    *,
    rows: Rows | None = None,
    transform: Sequence[alt.Transform] = (),
    style: Content | None = None,
) -> alt.UnitSpec:
    """A layer of a chart.

    Args:
        name: its marks' class on the page, up to an underscore.
        mark: what is drawn.
        channels: which fields they show.
        rows: what they stand for; None takes the chart's.
        transform: of the rows, before they are drawn.
        style: what is the same for all marks.
    """
    return alt.UnitSpec(
        name=name,
        mark=alt.MarkDef(type=mark, **(style or {})),
        encoding=alt.Encoding(**channels),
        transform=list(transform),
        data=alt.Undefined if rows is None else alt.InlineData(values=rows),
    )


def layered(
    layers: Sequence[alt.UnitSpec], width: float, height: float, source: str = ""
) -> Content:
    """A chart of `layers` over each other, which read the rows called `source`."""
    data = alt.NamedData(name=source) if source else alt.Undefined
    chart = alt.LayerSpec(layer=list(layers), width=width, height=height, data=data)
    content: Content = chart.to_dict(validate=schemapi.DEBUG_MODE)
    return content


def svg_of(content: Content, config: Content) -> str:
    """The SVG of a chart."""
    return _svg(json.dumps({**content, "config": config}))


@lru_cache(maxsize=8)
def _svg(content: str) -> str:
    """Converts a Vega-Lite chart in JSON to SVG; caches the last eight."""
    return vl_convert.vegalite_to_svg(content, allowed_base_urls=[])


def save(
    figures: Sequence[Figure],
    out: Path,
    name: str,
    title: Sequence[str],
    columns: int,
    below: Figure | None = None,
) -> list[Path]:
    """Writes `figures`, in `columns` under a title, into the directory `out`.

    Args:
        figures: at least one.
        out: made if it is not there.
        name: of the files.
        title: what they show; lines after the first are small.
        columns: how many stand side by side.
        below: what stands below them all.

    Returns:
        the paths of the SVG, the PNG and the PDF.
    """
    every = [*figures, *([] if below is None else [below])]
    panels = [_panel(figure) for figure in every]
    datasets = {key: rows for figure in every for key, rows in figure.data.items()}
    content = {
        "title": {"text": title[0], "subtitle": list(title[1:])},
        "vconcat": [
            {"concat": panels[: len(figures)], "columns": columns},
            *panels[len(figures) :],
        ],
        "datasets": datasets,
    }
    svg = svg_of(content, FOR_FILES)
    files = {
        "svg": svg.encode(),
        "png": vl_convert.svg_to_png(svg, scale=2),
        "pdf": _steady(vl_convert.svg_to_pdf(svg)),
    }
    paths = [out / f"{name}.{kind}" for kind in files]
    for path, written in zip(paths, files.values(), strict=True):
        write_atomically(path, written)
    return paths


def _steady(pdf: bytes) -> bytes:
    """`pdf` with the lists of its resources in order: vl-convert writes them in any.

    Nothing else depends on chance as long as a figure has one font, and nothing changes its place.
    """
    return RESOURCES.sub(lambda found: b"".join(sorted(found[0].splitlines(keepends=True))), pdf)


def _panel(figure: Figure) -> Content:
    """The chart of `figure` with its heading and its picture."""
    # Names are for the page, which has one chart in an SVG: Vega would take equal ones for one.
    layers = [{k: v for k, v in each.items() if k != "name"} for each in figure.chart["layer"]]
    content = {**figure.chart, "layer": layers, "title": figure.heading}
    if figure.picture is None:
        return content
    address = f"data:image/png;base64,{base64.b64encode(figure.picture).decode()}"
    found: Content = json.loads(json.dumps(content).replace(PICTURE, address))
    return found
