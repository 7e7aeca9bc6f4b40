"""`gti-bench structure` on the page: its tables, its sentences, and its figure in inline SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from leaderboard.board.structure import NUMBERS, Association, Floats, Points, associations
from leaderboard.figures.intervals import Interval
from leaderboard.figures.looks import series
from leaderboard.figures.palette import method_look, method_order
from leaderboard.figures.structure_file import (
    NEAR_ZERO,
    THRESHOLD,
    ranked,
    shown_in_figure,
    stages_of,
    title_of,
)
from leaderboard.figures.svg import Axis, bottom_axis, image, left_axis, number, tag, widened
from leaderboard.records.canonical import digest_of
from leaderboard.render.numbers import STAGE_NAMES
from leaderboard.render.structure import COLUMNS, NAMES, heading, notes_on, sentence
from leaderboard.render.table import Column, Entry, Filled, Line, Table
from leaderboard.site.directory import slug
from leaderboard.site.tables import tick, with_intervals

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

    `anchor` is its place on the page, empty for all settings; `boards` are its boards' addresses;
    `sentences` are one for each metric, `table` sets the metrics side by side.
    """

    anchor: str
    boards: tuple[str, ...]
    heading: str
    sentences: tuple[str, ...]
    table: Table


@dataclass(frozen=True)
class Panel:
    """One number at one stage against one metric: ρ with its interval, and the points."""

    title: str
    drawing: Markup


@dataclass(frozen=True)
class Structure:
    """What the page shows.

    Args:
        groups: all settings together first, where there are several.
        panels: number's name → metric → its panels, a stage each.
        caption: what the figure shows.
        legend: method → its sign.
        notes: how to read the tables.
    """

    groups: tuple[Group, ...]
    panels: dict[str, dict[str, list[Panel]]]
    caption: str
    legend: dict[str, Markup]
    notes: tuple[str, ...]


def structure_of(
    by_metric: Sequence[Points], boards: Mapping[str, Sequence[str]]
) -> tuple[Structure | None, list[list[Association]]]:
    """The page's content, None where there are no points, and the associations behind it.

    Args:
        by_metric: points of all settings, the same cells against one metric each.
        boards: setting → what its boards are called in addresses.
    """
    tested = [(points, associations(points)) for points in by_metric if len(points.scores)]
    if not tested:
        return None, [[] for _ in by_metric]
    settings = dict.fromkeys(each.setting for _, found in tested for each in found)
    ordered = sorted(settings, key=lambda setting: (setting is not None, setting or ""))
    groups = tuple(_group(tested, setting, boards) for setting in ordered)
    panels: dict[str, dict[str, list[Panel]]] = {NAMES[name]: {} for name in NUMBERS}
    for points, found in tested:
        shown = shown_in_figure(points, found)
        stages = stages_of(shown)
        for name in NUMBERS:
            drawn = [_panel(points, shown[stage, name]) for stage in stages]
            panels[NAMES[name]][points.metric] = drawn
    keys = {key for points, _ in tested for key in points.methods}
    legend = {key: _sign(key) for key in sorted(keys, key=method_order)}
    caption = _caption(tested[0][0], [points.metric for points, _ in tested])
    by_name = {points.metric: found for points, found in tested}
    answers = [by_name.get(points.metric, []) for points in by_metric]
    return Structure(groups, panels, caption, legend, _notes(tested)), answers


Tested = Sequence[tuple[Points, Sequence[Association]]]
"""A metric's points with its associations, metric after metric."""


def _group(tested: Tested, setting: str | None, boards: Mapping[str, Sequence[str]]) -> Group:
    """What one setting says, or all of them together (None)."""
    all_of = {p.metric: [each for each in found if each.setting == setting] for p, found in tested}
    own = {metric: found for metric, found in all_of.items() if found}
    metrics = " and ".join(own)
    anchor = "" if setting is None else anchor_of(setting)
    caption = f"Spearman's ρ of each number of the rows with test {metrics}"
    return Group(
        anchor,
        () if setting is None else tuple(boards.get(setting, ())),
        heading(setting, metrics),
        tuple(dict.fromkeys(sentence(found, metric) for metric, found in own.items())),
        _table(f"table-of-{anchor or 'all'}", caption, own),
    )


def _notes(tested: Tested) -> tuple[str, ...]:
    """How to read the tables, each note once."""
    notes = [note for points, found in tested for note in notes_on(points, found)]
    if len(tested) > 1:
        notes.append(
            f"{' and '.join(points.metric for points, _ in tested)} score the same lists of the"
            " same cells: that both say the same confirms nothing. p is corrected for each metric"
            " by itself."
        )
    return tuple(dict.fromkeys(notes))


def anchor_of(setting: str) -> str:
    """The place of a setting, by its name, on the page."""
    return f"structure-{slug(setting, digest_of(setting))}"


OF_ALL = ("rows", "stage")
"""Columns that are the same for every metric."""
COUNTS = ("methods", "cells")
"""Columns that are another's only where a setting is not scored at one of the metrics."""
RHO = Axis(-1.0, 1.0, 4.0, 96.0, tick)


def _table(name: str, caption: str, by_metric: Mapping[str, Sequence[Association]]) -> Table:
    """The verb's tables, one metric's right of the other's, with the intervals of ρ drawn."""
    columns: list[Filled[Association]] = []
    last: list[Filled[Association]] = []  # how many cells there are: a narrow screen must show ρ
    before: list[tuple[int, int]] = []
    for metric, found in by_metric.items():
        counts = [(each.num_methods, each.num_cells) for each in found]
        told = (*OF_ALL, *COUNTS) if counts == before else OF_ALL if before else ()
        for column, entry in COLUMNS:
            if column.key not in told:
                own = (_column(column, metric), _at(found, entry))
                (last if column.key in COUNTS else columns).append(own)
        before = counts
    lines = next(iter(by_metric.values()))
    columns += last
    table = Table.of(lines, columns, lambda each: Line(NAMES[each.number]), name, caption)
    for metric, found in by_metric.items():
        drawn = [None if a.rho is None else Interval(a.rho, a.low, a.high) for a in found]
        kinds = [_kind(each) for each in found]
        table = with_intervals(table, _key("interval", metric), RHO, drawn, kinds)
    return table


def _key(key: str, metric: str) -> str:
    """The key of a column of the verb's table against `metric`."""
    return f"{key}, {metric}"


def _column(column: Column, metric: str) -> Column:
    """The verb's `column` against `metric`."""
    name = f"ρ, {metric}" if column.key == "rho" else column.name
    meaning = "" if column.key in (*OF_ALL, *COUNTS) else f"with test {metric}"
    return replace(column, key=_key(column.key, metric), name=name, meaning=meaning)


def _at(
    found: Sequence[Association], entry: Callable[[Association], Entry]
) -> Callable[[Association], Entry]:
    """What `entry` says of the one among `found` that has the same stage and number."""
    own = {(each.stage, each.number): entry(each) for each in found}
    return lambda each: own[each.stage, each.number]


def _kind(found: Association) -> str:
    """The CSS class of an interval of ρ."""
    return {"rises with it": "better", "falls with it": "worse"}.get(found.verdict, "open")


def _caption(points: Points, metrics: Sequence[str]) -> str:
    """What the figure shows, and of which settings."""
    settings = sorted(set(points.settings))
    where = settings[0] if len(settings) == 1 else f"{len(settings)} settings, ranks within each"
    seeds = "" if max(points.seeds, default=0) == 0 else "; a sign for each seed"
    return (
        f"Rows' structure against test {' and '.join(metrics)} · {where}{seeds}."
        " Spearman's ρ with 95 % interval over methods; *: shown after Holm's correction."
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
