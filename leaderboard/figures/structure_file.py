"""The figure of `leaderboard.board.structure`: rows' numbers against scores, stage by stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from leaderboard.board.method_rows import STAGES
from leaderboard.board.structure import NUMBERS, Association, Floats, Points
from leaderboard.figures.files import save_figure, styled
from leaderboard.figures.palette import LINES, method_look, method_order
from leaderboard.render.numbers import STAGE_NAMES
from leaderboard.render.structure import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MARKERS = dict(zip(LINES, ("o", "s", "^", "D"), strict=True))
"""A method's line on other figures → its sign on this one."""
LEGEND_COLUMNS = 5
THRESHOLD = 0.05
"""An axis with zero spread out is linear up to here."""
NEAR_ZERO = ("rsa_spearman",)
"""Numbers that are near 0 for most methods and near 1 for some: drawn with zero spread out."""


def draw_structure(points: Points, found: Sequence[Association], out: Path) -> list[Path]:
    """Draws `structure.svg` and `structure.png` into the directory `out`; returns them."""
    with styled():
        return save_figure(_figure(points, found), out, "structure")


def _figure(points: Points, found: Sequence[Association]) -> "Figure":
    """A line of panels per number, a column per stage; several settings by ranks within each."""
    from matplotlib.figure import Figure

    settings = sorted(set(points.settings))
    one = len(settings) == 1
    shown = shown_in_figure(points, found)
    stages = stages_of(shown)
    keys = sorted(set(points.methods), key=method_order)
    legend = 0.17 * -(-len(keys) // LEGEND_COLUMNS) + 0.1
    height = 2.25 * len(NUMBERS) + 0.6 + legend
    figure = Figure(figsize=(2.7 * len(stages) + 0.9, height))
    axes = figure.subplots(len(NUMBERS), len(stages), sharey=True, sharex=not one, squeeze=False)
    for line, number in enumerate(NUMBERS):
        for column, stage in enumerate(stages):
            axis = axes[line][column]
            _panel(axis, points, points.numbers[stage, number], keys, ranks=not one)
            if one and number in NEAR_ZERO:
                _spread_zero(axis, points.numbers[stage, number])
            axis.set_title(title_of(shown[stage, number]))
            axis.set_xlabel(f"{NAMES[number]}, {STAGE_NAMES[stage]}")
        of = f"test {points.metric}"
        axes[line][0].set_ylabel(of if one else f"{of}\n(rank in its setting)")
    handles, labels = _legend(keys)
    seeds = "" if max(points.seeds, default=0) == 0 else "; a sign for each seed"
    where = settings[0] if one else f"{len(settings)} settings, ranks within each"
    figure.suptitle(
        f"Rows' structure against scores · {where}{seeds}\n"
        "Spearman's ρ with 95 % interval over methods; *: shown after Holm's correction",
        fontsize=9,
    )
    figure.tight_layout(rect=(0, legend / height, 1, 0.995))
    figure.legend(handles, labels, loc="lower center", ncols=LEGEND_COLUMNS, columnspacing=1.2)
    return figure


def shown_in_figure(
    points: Points, found: Sequence[Association]
) -> dict[tuple[str, str], Association]:
    """(stage, number) → the association of the only setting, or of all settings pooled."""
    settings = sorted(set(points.settings))
    group = settings[0] if len(settings) == 1 else None
    return {(each.stage, each.number): each for each in found if each.setting == group}


def stages_of(shown: dict[tuple[str, str], Association]) -> list[str]:
    """The stages at which some cell has a number."""
    return [s for s in STAGES if any(a.num_cells for a in shown.values() if a.stage == s)]


def _spread_zero(axis: "Axes", values: Floats) -> None:
    """Draws an axis on which most `values` lie near 0 and some do not with zero spread out."""
    values = values[~np.isnan(values)]
    if not len(values) or np.abs(values).max() < 10 * THRESHOLD:
        return
    axis.set_xscale("symlog", linthresh=THRESHOLD)
    least, most = values.min() - THRESHOLD / 2, max(1.5 * values.max(), THRESHOLD)
    ticks = [tick for tick in (-1, -0.2, -THRESHOLD, 0, THRESHOLD, 0.2, 1) if least <= tick <= most]
    axis.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlim(least, most)


def title_of(found: Association) -> str:
    """ρ with its interval, or why there is none."""
    if found.rho is None or found.low is None or found.high is None:
        return found.verdict
    star = " *" if found.verdict in ("rises with it", "falls with it") else ""
    text = f"ρ = {found.rho:+.2f} [{found.low:+.2f}, {found.high:+.2f}]{star}"
    return text.replace("-", "−")


def _panel(
    axis: "Axes", points: Points, values: Floats, keys: Sequence[str], *, ranks: bool
) -> None:
    """One sign for each cell that has the number."""
    there = ~np.isnan(values)
    scores = points.scores
    if ranks:
        values, scores = (ranked(points, side, there) for side in (values, scores))
    methods = np.array(points.methods)
    for key in keys:
        own = there & (methods == key)
        look = method_look(key)
        axis.plot(
            values[own],
            scores[own],
            MARKERS[look.line],
            color=look.color,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            alpha=0.9,
        )
    axis.margins(0.08)


def ranked(points: Points, side: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    """[n] ranks of the cells `there` within their setting, between 0 and 1; NaN elsewhere."""
    found = np.full(len(side), np.nan)
    names = np.array(points.settings)
    for name in set(points.settings):
        own = there & (names == name)
        found[own] = (rankdata(side[own]) - 0.5) / max(1, own.sum())
    return found


def _legend(keys: Sequence[str]) -> tuple[list["Line2D"], list[str]]:
    """The signs of all methods, whether a panel shows them or not."""
    from matplotlib.lines import Line2D

    looks = [method_look(key) for key in keys]
    handles = [
        Line2D([], [], linestyle="", marker=MARKERS[look.line], color=look.color, markersize=5)
        for look in looks
    ]
    return handles, list(keys)
