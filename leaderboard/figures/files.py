"""Figures from records and their diagnostics: spectra, cosines, RSA bars, learning curves.

Each is written as SVG and PNG; equal records give equal bytes with one version of matplotlib.
"""

import io
import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leaderboard.board.method_rows import STAGES
from leaderboard.board.series import joint_curve, rsa_columns
from leaderboard.figures.palette import STYLE, method_look, method_order
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.canonical import write_atomically
from leaderboard.records.cells import Cell, named_seeds
from leaderboard.records.diagnostics import TEXT, StageArrays, read_diagnostics
from leaderboard.records.record import diagnostics_path
from leaderboard.render.numbers import STAGE_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_all(cells: Sequence[Cell], out: Path) -> list[Path]:
    """Draws every figure that the `cells` of one setting allow into the directory `out`.

    Returns:
        the files written; none where no cell carries what figures are made of.
    """
    cells = ordered(cells)
    if not cells:
        return []
    drawn: dict[str, Figure] = {}
    with styled():
        drawn["spectra"] = draw_spectra(cells)
        for stage in STAGES:
            if any(stage in cell.record.diagnostics for cell in cells):
                drawn[f"cosines-{stage}"] = draw_cosines(cells, stage)
        drawn["rsa"] = draw_rsa(cells)
        drawn["learning-curves"] = draw_curves(cells)
        return [path for name, figure in drawn.items() for path in save_figure(figure, out, name)]


def ordered(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that carry diagnostics, by method and seed; references have none."""
    kept = [cell for cell in cells if cell.record.kind == "cell" and cell.record.diagnostics]
    return sorted(kept, key=lambda c: (method_order(c.record.method.key), c.record.seed))


def styled() -> AbstractContextManager[Any]:
    """Our look, for as long as the context lasts. Figures are made without pyplot: no display."""
    import matplotlib

    return matplotlib.rc_context(STYLE)  # type: ignore[arg-type]  # its stub lists every key


def save_figure(figure: "Figure", out: Path, name: str) -> list[Path]:
    """Writes `figure` as SVG and PNG without a date or version."""
    paths = []
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}
    for kind, without in metadata.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=without, bbox_inches="tight")
        path = out / f"{name}.{kind}"
        write_atomically(path, buffer.getvalue())
        paths.append(path)
    return paths


def _by_method(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Method → its cells, in the order given."""
    grouped: dict[str, list[Cell]] = {}
    for cell in cells:
        grouped.setdefault(cell.record.method.key, []).append(cell)
    return grouped


def _caption(cells: Sequence[Cell], what: str) -> str:
    """`what`, of which setting and seeds."""
    seeds = sorted({cell.record.seed for cell in cells})
    return f"{what} · {cells[0].record.setting.name} · {named_seeds(seeds)}"


def draw_spectra(cells: Sequence[Cell]) -> "Figure":
    """Singular values relative to the largest, one panel per stage, a line per method and seed."""
    from matplotlib.figure import Figure

    grouped = _by_method(cells)
    stages = [s for s in STAGES if any(s in cell.record.diagnostics for cell in cells)]
    figure = Figure(figsize=(3.4 * len(stages) + 0.4, 3.2))
    axes = figure.subplots(1, len(stages), sharey=True, squeeze=False)
    least = 1.0
    for key, own in grouped.items():
        for cell in own:
            arrays = read_diagnostics(diagnostics_path(cell.path))
            for axis, stage in zip(axes[0], stages, strict=True):
                if stage in arrays:
                    first = cell is next(c for c in own if stage in c.record.diagnostics)
                    least = min(least, _spectrum(axis, arrays[stage], key, first))
    for axis, stage in zip(axes[0], stages, strict=True):
        axis.set_title(STAGE_NAMES[stage])
        axis.set_xlabel("index of the singular value")
        axis.set_yscale("log")
        axis.set_ylim(max(least / 2, 1e-6), 1.6)
        axis.legend(loc="lower left")
    axes[0][0].set_ylabel("singular value / largest")
    figure.suptitle(_caption(cells, "Spectrum of the new rows"), fontsize=10)
    figure.tight_layout()
    return figure


def _spectrum(axis: "Axes", arrays: StageArrays, key: str, first: bool) -> float:
    """One line of `draw_spectra`; returns the smallest positive value drawn.

    Rows that are all alike have one singular value: a single dot.
    """
    values = arrays.singular_values[arrays.singular_values > 0].astype(np.float64)
    if not len(values):
        return 1.0
    relative = values / values[0]
    places = np.arange(1, len(values) + 1)
    look, alone = method_look(key), len(values) == 1
    axis.plot(
        places,
        relative,
        look.line,
        color=look.color,
        marker="o" if alone else "",
        markersize=5,
        linewidth=1.3,
        alpha=0.85,
        label=(f"{key} (rank 1)" if alone else key) if first else None,
    )
    return float(relative[-1])


def draw_cosines(cells: Sequence[Cell], stage: str) -> "Figure":
    """Cosine matrices at `stage`, a panel per method (its first seed), on one colour scale."""
    from matplotlib.figure import Figure

    own = [
        next(cell for cell in group if stage in cell.record.diagnostics)
        for group in _by_method(cells).values()
        if any(stage in cell.record.diagnostics for cell in group)
    ]
    columns = min(len(own), 4)
    lines = -(-len(own) // columns)
    size = (2.7 * columns + 0.9, 2.9 * lines + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    image = None
    for axis, cell in zip(axes.flat, own, strict=False):
        arrays = read_diagnostics(diagnostics_path(cell.path))[stage]
        image = axis.imshow(arrays.cosine, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        axis.set_title(f"{cell.record.method.key} (seed {cell.record.seed})")
        _mark_blocks(axis, arrays)
    for axis in axes.flat[len(own) :]:
        axis.set_visible(False)
    if image is not None:
        figure.colorbar(image, ax=axes, label="cosine", shrink=0.8)
    name = own[0].record.setting.name
    figure.suptitle(f"Cosines between rows, {STAGE_NAMES[stage]} · {name}", fontsize=10)
    return figure


def _mark_blocks(axis: "Axes", arrays: StageArrays) -> None:
    """Draws the boundaries between text rows and levels, and names the blocks."""
    labels = arrays.cosine_labels
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    for edge in edges[1:-1]:
        axis.axhline(edge - 0.5, color="black", linewidth=0.6)
        axis.axvline(edge - 0.5, color="black", linewidth=0.6)
    centers = [(low + high - 1) / 2 for low, high in itertools.pairwise(edges)]
    starts = [int(labels[low]) for low in edges[:-1]]
    names = ["text" if start == TEXT else f"L{start + 1}" for start in starts]
    axis.set_xticks(centers, names)
    axis.set_yticks(centers, names)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[["top", "right"]].set_visible(True)


def draw_rsa(cells: Sequence[Cell]) -> "Figure":
    """RSA against the codebooks (Spearman): pooled and per level, a panel per stage."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    grouped = _by_method(cells)
    stages = [s for s in STAGES if any(s in cell.record.diagnostics for cell in cells)]
    levels = cells[0].record.setting.semantic_ids.levels
    names = ["pooled", *(f"level {level + 1}" for level in range(levels))]
    figure = Figure(figsize=(3.6 * len(stages) + 0.4, 3.3))
    axes = figure.subplots(1, len(stages), sharey=True, squeeze=False)
    for axis, stage in zip(axes[0], stages, strict=True):
        there = {
            key: own
            for key, own in grouped.items()
            if any(stage in cell.record.diagnostics for cell in own)
        }
        width = 0.8 / len(there)
        for place, (key, own) in enumerate(there.items()):
            columns = rsa_columns([cell.record for cell in own], stage, levels)
            offsets = np.arange(len(names)) + (place - (len(there) - 1) / 2) * width
            _bars(axis, offsets, columns, width, key)
        axis.axhline(0, color="black", linewidth=0.6)
        axis.set_xticks(range(len(names)), names)
        axis.set_xlim(-0.6, len(names) - 0.4)
        axis.set_title(STAGE_NAMES[stage])
        axis.grid(visible=False, axis="x")
    axes[0][0].set_ylabel("RSA (Spearman)")
    looks = {key: method_look(key) for key in grouped}
    handles = [
        Patch(facecolor=look.color, hatch=look.hatch, edgecolor="white") for look in looks.values()
    ]
    figure.suptitle(
        f"{_caption(cells, 'Rows against the codebooks')}\n"
        "bars: mean over seeds, dots: seeds, ×: undefined (rows all alike or no codebooks)",
        fontsize=9,
    )
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.legend(handles, list(grouped), loc="lower center", ncols=min(len(grouped), 6))
    return figure


def _bars(
    axis: "Axes", offsets: Any, columns: Sequence[Sequence[float]], width: float, key: str
) -> None:
    """The bars of one method, its seeds as dots on them, a cross where nothing is defined."""
    look = method_look(key)
    for offset, column in zip(offsets, columns, strict=True):
        if column:
            axis.bar(
                offset,
                np.mean(column),
                min(width * 0.9, 0.3),
                color=look.color,
                hatch=look.hatch,
                edgecolor="white",
            )
            axis.plot(
                [offset] * len(column),
                column,
                "o",
                markersize=3,
                color="white",
                markeredgecolor="black",
                markeredgewidth=0.5,
            )
        else:
            axis.plot(offset, 0, "x", color=look.color, markersize=4)


def draw_curves(cells: Sequence[Cell], metric: str = MAIN_METRIC) -> "Figure":
    """Validation `metric` over steps and over nominal FLOPs; bands from least to best seed.

    Over FLOPs a curve begins where its method has paid for the stages before SFT.
    """
    from matplotlib.figure import Figure

    grouped = _by_method(cells)
    names_below = 0.22 * -(-len(grouped) // 6) + 0.1
    figure = Figure(figsize=(8.2, 3.1 + names_below))
    axes = figure.subplots(1, 2, sharey=True)
    for key, own in grouped.items():
        curve = joint_curve([cell.record for cell in own], metric)
        if curve is None:
            continue
        for axis, places in zip(axes, (curve.steps, curve.nominal_flops), strict=True):
            look = method_look(key)
            axis.plot(places, curve.mean, look.line, color=look.color, marker=".", label=key)
            if curve.num_seeds > 1:
                axis.fill_between(
                    places, curve.low, curve.high, color=look.color, alpha=0.15, linewidth=0
                )
    axes[0].set_xlabel("steps of SFT")
    axes[1].set_xlabel("nominal FLOPs, stages before SFT included")
    axes[0].set_ylabel(f"validation {metric}")
    figure.suptitle(
        _caption(cells, "Learning curves (line: mean of seeds, band: all seeds)"), fontsize=10
    )
    figure.tight_layout(rect=(0, names_below / (3.1 + names_below), 1, 1))
    if axes[0].lines:
        figure.legend(handles=axes[0].lines, loc="lower center", ncols=6)
    return figure
