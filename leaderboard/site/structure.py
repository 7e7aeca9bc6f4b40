"""`gti-bench structure` on the page: its tables, its sentences, and its figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from leaderboard.board.structure import NUMBERS, Association, Points, associations
from leaderboard.figures.inline_svg import Drawing, draw
from leaderboard.figures.intervals import Axis, Interval
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import unchecked
from leaderboard.figures.structure import READING, caption, structure_panels
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.canonical import digest_of
from leaderboard.render.structure import COLUMNS, NAMES, heading, notes_on, sentence
from leaderboard.render.table import Column, Entry, Filled, Line, Table
from leaderboard.site.directory import slug
from leaderboard.site.tables import tick, with_intervals


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
class Structure:
    """What the page shows.

    Args:
        groups: all settings together first, where there are several.
        panels: number's name → metric → its panels, a stage each: ρ with its interval, and the
            points.
        caption: what the figure shows.
        legend: method → its sign.
        notes: how to read the tables.
    """

    groups: tuple[Group, ...]
    panels: dict[str, dict[str, list[tuple[str, Drawing]]]]
    caption: str
    legend: dict[str, Markup]
    notes: tuple[str, ...]


@unchecked
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
    panels: dict[str, dict[str, list[tuple[str, Drawing]]]] = {NAMES[n]: {} for n in NUMBERS}
    samples: dict[str, Markup] = {}
    for points, found in tested:
        for name, figures in structure_panels(points, found).items():
            drawn = [(figure.heading, draw(figure)) for figure in figures]
            panels[NAMES[name]][points.metric] = drawn
            for _, drawing in drawn:
                samples |= drawing.samples
    cards = {key: card for points, _ in tested for key, card in points.cards.items()}
    legend = {key: samples[key] for key in Palette(cards.values()).ordered(samples)}
    shown = caption(tested[0][0], [points.metric for points, _ in tested])
    by_name = {points.metric: found for points, found in tested}
    answers = [by_name.get(points.metric, []) for points in by_metric]
    return Structure(groups, panels, f"{shown} {READING}", legend, _notes(tested)), answers


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


OF_ALL = ("rows", "stage", "random")
"""Columns that are the same for every metric."""
COUNTS = ("methods", "cells", "above")
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
        kinds = [_kind(each, metric) for each in found]
        table = with_intervals(table, _key("interval", metric), RHO, drawn, kinds)
    return table


def _key(key: str, metric: str) -> str:
    """The key of a column of the verb's table against `metric`."""
    return f"{key}, {metric}"


def _column(column: Column, metric: str) -> Column:
    """`column` of the `gti-bench structure` table, renamed for `metric`."""
    name = f"ρ, {metric}" if column.key == "rho" else column.name
    meaning = "" if column.key in (*OF_ALL, *COUNTS) else f"with test {metric}"
    return replace(column, key=_key(column.key, metric), name=name, meaning=meaning)


def _at(
    found: Sequence[Association], entry: Callable[[Association], Entry]
) -> Callable[[Association], Entry]:
    """What `entry` says of the one among `found` that has the same stage and number."""
    own = {(each.stage, each.number): entry(each) for each in found}
    return lambda each: own[each.stage, each.number]


def _kind(found: Association, metric: str) -> str:
    """The CSS class of an interval of ρ: whether more of the number goes with better scores."""
    better = "falls with it" if is_loss(metric) else "rises with it"
    if found.verdict not in ("rises with it", "falls with it"):
        return "open"
    return "better" if found.verdict == better else "worse"
