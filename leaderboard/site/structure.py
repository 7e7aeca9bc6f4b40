"""`gti-bench structure` on the page: its tables, its sentences, and its figure in inline SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from leaderboard.canonical import digest_of
from leaderboard.palette import STAGE_NAMES, method_look, method_order
from leaderboard.site.directory import slug
from leaderboard.site.intervals import Interval, draw_interval, draw_scale
from leaderboard.site.looks import series
from leaderboard.site.svg import Axis, bottom_axis, image, left_axis, number, tag, widened
from leaderboard.site.tables import Column, Entry, Line, Sort, Table, tick
from leaderboard.structure import NUMBERS, Association, Floats, Points, associations
from leaderboard.structure_figure import (
    NEAR_ZERO,
    THRESHOLD,
    ranked,
    shown_in_figure,
    stages_of,
    title_of,
)
from leaderboard.structure_text import NAMES, association_table, heading, notes_on, sentence

WIDTH, HEIGHT, LEFT, TOP, BASE = 250.0, 190.0, 40.0, 20.0, 36.0
"""Of a panel; `LEFT` and `BASE` are for its axes."""

SIGNS = {
    "-": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0",
    "--": "m-2.7 -2.7h5.4v5.4h-5.4z",
    ":": "m0 -3.4l3.4 6h-6.8z",
    "-.": "m0 -3.7l3.7 3.7l-3.7 3.7l-3.7 -3.7z",
}
"""A method's line on other figures → its sign here, drawn from its middle."""

FEW_TICKS = 4


@dataclass(frozen=True)
class Group:
    """What the cells of one setting, or of all, say.

    `anchor` is its place on the page, empty for all settings; `boards` are its boards' addresses.
    """

    anchor: str
    boards: tuple[str, ...]
    heading: str
    sentence: str
    table: Table


@dataclass(frozen=True)
class Panel:
    """One number at one stage: ρ with its interval, and the points."""

    title: str
    drawing: Markup


@dataclass(frozen=True)
class Structure:
    """What the page shows.

    Args:
        groups: all settings together first, where there are several.
        panels: number's name → its panels, a stage each.
        caption: what the figure shows.
        legend: method → its sign.
        notes: how to read the tables.
    """

    groups: tuple[Group, ...]
    panels: dict[str, list[Panel]]
    caption: str
    legend: dict[str, Markup]
    notes: tuple[str, ...]


def structure_of(
    points: Points, boards: Mapping[str, Sequence[str]]
) -> tuple[Structure | None, list[Association]]:
    """The page's content, None where there are no points, and the associations behind it.

    Args:
        points: of all settings.
        boards: setting → what its boards are called in addresses.
    """
    if not len(points.scores):
        return None, []
    found = associations(points)
    settings = dict.fromkeys(each.setting for each in found)
    ordered = sorted(settings, key=lambda setting: (setting is not None, setting or ""))
    groups = []
    for setting in ordered:
        own = [each for each in found if each.setting == setting]
        title = heading(setting, points.metric)
        anchor = "" if setting is None else anchor_of(setting)
        caption = f"Spearman's ρ of each number of the rows with test {points.metric}"
        table = _table(f"table-of-{anchor or 'all'}", caption, own)
        slugs = () if setting is None else tuple(boards.get(setting, ()))
        groups.append(Group(anchor, slugs, title, sentence(own, points.metric), table))
    shown = shown_in_figure(points, found)
    stages = stages_of(shown)
    panels = {
        NAMES[name]: [_panel(points, shown[stage, name]) for stage in stages] for name in NUMBERS
    }
    keys = sorted(set(points.methods), key=method_order)
    legend = {key: _sign(key) for key in keys}
    notes = tuple(notes_on(points, found))
    return Structure(tuple(groups), panels, _caption(points), legend, notes), found


def anchor_of(setting: str) -> str:
    """The place of a setting, by its name, on the page."""
    return f"structure-{slug(setting, digest_of(setting))}"


def _table(name: str, caption: str, found: Sequence[Association]) -> Table:
    """The verb's table, with the intervals of ρ drawn."""
    header, body = association_table(found)
    drawn = header.index("95 % interval")
    axis = Axis(-1.0, 1.0, 4.0, 96.0, tick)
    columns = [Column(each, text=each in ("rows", "stage", "verdict")) for each in header]
    columns[drawn] = replace(columns[drawn], scale=draw_scale(axis))
    lines = []
    for place, (texts, each) in enumerate(zip(body, found, strict=True)):
        sorts: list[Sort] = [texts[0], f"stage {place:03d}", each.num_methods, each.num_cells]
        sorts += [each.rho, each.low, each.p, each.verdict]
        entries = [Entry(text, sort) for text, sort in zip(texts, sorts, strict=True)]
        interval = None if each.rho is None else Interval(each.rho, each.low, each.high)
        drawing = draw_interval(axis, interval, _kind(each))
        entries[drawn] = replace(entries[drawn], drawing=drawing)
        lines.append(Line(texts[0], "", "", tuple(entries)))
    return Table(name, caption, tuple(columns), tuple(lines))


def _kind(found: Association) -> str:
    """The CSS class of an interval of ρ."""
    return {"rises with it": "better", "falls with it": "worse"}.get(found.verdict, "open")


def _caption(points: Points) -> str:
    """What the figure shows, and of which settings."""
    settings = sorted(set(points.settings))
    where = settings[0] if len(settings) == 1 else f"{len(settings)} settings, ranks within each"
    seeds = "" if max(points.seeds, default=0) == 0 else "; a sign for each seed"
    return (
        f"Rows' structure against test {points.metric} · {where}{seeds}. Spearman's ρ with 95 %"
        " interval over methods; *: shown after Holm's correction."
    )


@dataclass(frozen=True)
class SpreadZero(Axis):
    """An axis on which most values lie near 0 and some do not: zero is spread out."""

    def place(self, value: float) -> float:
        """Where `value` lies: nearly linear up to `THRESHOLD`, nearly logarithmic beyond it."""
        low, high, own = (math.asinh(each / THRESHOLD) for each in (self.low, self.high, value))
        share = min(max((own - low) / (high - low), 0.0), 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Few values that stand apart on such an axis."""
        values = (-1.0, -0.2, -THRESHOLD, 0.0, THRESHOLD, 0.2, 1.0)
        return [value for value in values if self.low <= value <= self.high]


@dataclass(frozen=True)
class Few(Axis):
    """An axis with few ticks, for a small panel."""

    def ticks(self, most: int = FEW_TICKS) -> list[float]:
        """At most `FEW_TICKS` round values."""
        return super().ticks(FEW_TICKS)


def _panel(points: Points, found: Association) -> Panel:
    """One sign for each cell that has the number; of several settings, by ranks within each."""
    one = len(set(points.settings)) == 1
    values = points.numbers[found.stage, found.number]
    there = ~np.isnan(values)
    scores = points.scores
    if not one:
        values, scores = (ranked(points, side, there) for side in (values, scores))
    ends = (LEFT + 8, WIDTH - 8)
    x = _axis(values[there], *ends, near_zero=one and found.number in NEAR_ZERO)
    y = _axis(scores[there], HEIGHT - BASE - 6, TOP + 6)
    methods = np.array(points.methods)
    drawn = []
    for key in sorted(set(methods[there].tolist()), key=method_order):
        own = there & (methods == key)
        places = zip(values[own].tolist(), scores[own].tolist(), strict=True)
        sign = SIGNS[method_look(key).line]
        path = "".join(f"M{number(x.place(v))} {number(y.place(s))}{sign}" for v, s in places)
        drawn.append(series(key, tag("title", key), tag("path", class_="sign", d=path)))
    rank = "" if one else ", rank in its setting"
    name = f"{NAMES[found.number]}, {STAGE_NAMES[found.stage]}"
    axes = (
        tag("text", f"test {points.metric}{rank}", class_="axis", x=2, y=12)
        + bottom_axis(x, TOP, HEIGHT - BASE, name)
        + left_axis(y, LEFT, WIDTH)
    )
    title = title_of(found)
    described = f"{title}; {found.num_cells} cells of {found.num_methods} methods."
    drawing = image(WIDTH, HEIGHT, name, described, axes, *drawn, class_="figure")
    return Panel(title, drawing)


def _axis(values: Floats, start: float, end: float, near_zero: bool = False) -> Axis:
    """The axis of a panel's side."""
    if not len(values):
        return Few(0.0, 1.0, start, end, tick)
    if near_zero and np.abs(values).max() >= 10 * THRESHOLD:
        low, high = float(values.min()) - THRESHOLD / 2, max(1.5 * float(values.max()), THRESHOLD)
        return SpreadZero(low, high, start, end, tick)
    return Few(*widened(values.tolist()), start, end, tick)


def _sign(key: str) -> Markup:
    """The sign of method `key`, for the legend; its name stands beside it."""
    path = tag("path", class_="sign", d=f"M7 7{SIGNS[method_look(key).line]}")
    return tag(
        "svg", series(key, path), class_="legend-sign", viewBox="0 0 14 14", aria_hidden="true"
    )
