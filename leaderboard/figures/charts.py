"""The figures of one board: what is read from its records, drawn by `drawings`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import BASE, STAGES
from leaderboard.board.series import joint_curve, rsa_columns
from leaderboard.figures.bars import Bars, bars_ends, draw_bars
from leaderboard.figures.drawings import Line, Point, Scale, draw_lines, draw_points
from leaderboard.figures.intervals import Interval, beyond_scores
from leaderboard.figures.matrices import draw_matrix, matrix_png
from leaderboard.figures.palette import method_order
from leaderboard.records.cells import Cell
from leaderboard.records.diagnostics import TEXT, StageArrays, read_diagnostics
from leaderboard.records.record import Spectrum, diagnostics_path
from leaderboard.render.numbers import STAGE_NAMES, duration, flops, score

MOST_DRAWN = 24
"""Methods in a figure; beyond them lines cannot be told apart."""

ByMethod = Mapping[str, Sequence[Cell]]
Write = Callable[[str, bytes], str]
"""Writes a file called so into the site and returns its address for the page."""


def drawn_methods(board: Leaderboard) -> list[str]:
    """The methods in the board's figures: the best `MOST_DRAWN`, `mean` always among them."""
    keys = [row.key for row in board.rows if row.kind == "cell"]
    kept = keys[:MOST_DRAWN]
    if BASE in keys and BASE not in kept:
        kept = [*kept[:-1], BASE]
    return sorted(kept, key=method_order)


def compact(value: float) -> str:
    """A tick: `.04`, `500`, `1.5`, without zeros that say nothing."""
    text = f"{value:.6g}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def power(value: float) -> str:
    """A power of ten: `1`, `10⁻²`."""
    exponent = round(math.log10(value))
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if exponent else "1"


def learning_charts(by_method: ByMethod, metric: str) -> list[Markup]:
    """Validation curves over steps and over nominal FLOPs; none where no method has one."""
    by_steps: list[Line] = []
    by_flops: list[Line] = []
    ends = []
    for key, cells in by_method.items():
        curve = joint_curve([cell.record for cell in cells], metric)
        if curve is None:
            continue
        ends.append(f"{key} {score(float(curve.mean[-1]))}")
        for lines, places in ((by_steps, curve.steps), (by_flops, curve.nominal_flops)):
            points = list(zip(places.tolist(), curve.mean.tolist(), strict=True))
            band = list(zip(places.tolist(), curve.low.tolist(), curve.high.tolist(), strict=True))
            lines.append(Line(key, points, band if curve.num_seeds > 1 else ()))
    if not ends:
        return []
    told = f"Mean of the seeds at the last point: {', '.join(ends)}."
    y_scale = Scale(f"validation {metric}", compact, low=0.0)
    steps = Scale("steps of SFT", compact, low=0.0)
    cost = Scale("nominal FLOPs, stages before SFT included", flops_tick, low=0.0)
    return [
        draw_lines(f"Validation {metric} over steps", told, by_steps, steps, y_scale),
        draw_lines(f"Validation {metric} over FLOPs", told, by_flops, cost, y_scale),
    ]


def flops_tick(value: float) -> str:
    """A tick in FLOPs; zero needs no prefix."""
    return flops(value) if value else "0"


@dataclass
class Panels:
    """What is drawn of the diagnostics files, stage by stage.

    Attributes:
        spectra: stage → drawing.
        matrices: stage → (method, seed, drawing).
        problems: files that could not be read, one line each.
    """

    spectra: dict[str, Markup] = field(default_factory=dict)
    matrices: dict[str, list[tuple[str, int, Markup]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def panels(by_method: ByMethod, write: Write) -> Panels:
    """Spectra and cosine matrices of each method's lowest seed that carries them.

    One diagnostics file is open at a time, and no matrix outlives its picture.
    """
    found = Panels()
    lines: dict[str, list[Line]] = {}
    for key, cells in by_method.items():
        cell = next((cell for cell in cells if cell.record.diagnostics), None)
        if cell is None:
            continue
        try:
            arrays = read_diagnostics(diagnostics_path(cell.path))
        except ValueError as error:
            found.problems.append(str(error))
            continue
        for stage in (stage for stage in STAGES if stage in arrays):
            line = _spectrum_line(key, arrays[stage])
            if line is not None:
                lines.setdefault(stage, []).append(line)
            if len(arrays[stage].cosine):
                drawing = _matrix(cell, stage, arrays[stage], write)
                found.matrices.setdefault(stage, []).append((key, cell.record.seed, drawing))
    found.spectra = {stage: _spectra(stage, lines[stage]) for stage in STAGES if stage in lines}
    found.matrices = {s: found.matrices[s] for s in STAGES if s in found.matrices}
    return found


def _spectrum_line(key: str, arrays: StageArrays) -> Line | None:
    """Singular values relative to the largest; rows that are all alike have a single one."""
    values = arrays.singular_values[arrays.singular_values > 0].astype(np.float64)
    if not len(values):
        return None
    points = [(place + 1.0, value) for place, value in enumerate((values / values[0]).tolist())]
    return Line(key, points, label=f"{key} (rank 1)" if len(values) == 1 else key)


def _spectra(stage: str, lines: Sequence[Line]) -> Markup:
    """The spectra of all methods at one stage."""
    least = min(line.points[-1][1] for line in lines)
    told = ", ".join(f"{line.key} {len(line.points)}" for line in lines)
    return draw_lines(
        f"Spectra {STAGE_NAMES[stage]}",
        f"Singular values above zero: {told}.",
        lines,
        Scale("index of the singular value", compact, low=0.0),
        Scale("singular value / largest", power, low=max(least / 1.5, 1e-6), high=1.2, log=True),
    )


def _matrix(cell: Cell, stage: str, arrays: StageArrays, write: Write) -> Markup:
    """The cosine matrix of `cell` at `stage`, its picture written beside the page."""
    key, seed = cell.record.method.key, cell.record.seed
    address = write(f"cosine-{stage}-{key}-seed-{seed}.png", matrix_png(arrays.cosine))
    labels = arrays.cosine_labels
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    starts = [int(labels[low]) for low in edges[:-1]]
    names = ["text" if start == TEXT else f"L{start + 1}" for start in starts]
    numbers = cell.record.diagnostics.get(stage)
    described = "no numbers recorded" if numbers is None else _cosines_in_words(numbers)
    name = f"Cosines of {key}, seed {seed}, {STAGE_NAMES[stage]}"
    return draw_matrix(address, name, described, edges, names)


def _cosines_in_words(numbers: Spectrum) -> str:
    """What a cosine matrix shows, for those who do not see it."""
    within = ", ".join(score(value, 2) for value in numbers.cosine_within_level)
    return (
        f"Mean cosine of the new rows {score(numbers.cosine_mean, 2)}; within each level {within};"
        f" across levels {score(numbers.cosine_across_levels, 2)}; mean of each row's nearest text"
        f" row {score(numbers.text_affinity, 2)}."
    )


def rsa_charts(by_method: ByMethod, levels: int) -> dict[str, Markup]:
    """Stage → bars of RSA against the codebooks, pooled and per level."""
    rows = {
        stage: [
            Bars(key, rsa_columns([cell.record for cell in cells], stage, levels))
            for key, cells in by_method.items()
            if any(stage in cell.record.diagnostics for cell in cells)
        ]
        for stage in STAGES
    }
    ends = bars_ends([row for own in rows.values() for row in own])
    drawn = {}
    for stage, own in rows.items():
        if own:
            told = ", ".join(f"{row.key} {_mean_in_words(row.columns[0])}" for row in own)
            name = f"RSA {STAGE_NAMES[stage]}"
            drawn[stage] = draw_bars(name, f"Pooled: {told}.", own, ends, "Spearman's ρ", compact)
    return drawn


def _mean_in_words(values: Sequence[float]) -> str:
    return score(sum(values) / len(values), 2) if values else "undefined"


def cost_charts(board: Leaderboard, keys: Sequence[str]) -> list[Markup]:
    """Score against nominal FLOPs and against time per cell, with intervals."""
    rows = [board.row(key) for key in keys]
    known = [row for row in rows if row.score is not None and row.nominal_flops is not None]
    if not known:
        return []
    points = [
        (row.key, row.nominal_flops or 0.0, row.seconds, Interval(s.mean, s.low, s.high))
        for row in known
        if (s := row.score) is not None
    ]
    told = "; ".join(
        f"{key} {score(found.mean)} at {flops(cost)} and {duration(seconds)}"
        for key, cost, seconds, found in points
    )
    cut = any(beyond_scores(found.low, None) for *_, found in points)
    y_scale = Scale(f"test {board.metric}", compact, low=0.0 if cut else None)
    costs = Scale("nominal FLOPs of a cell", flops_tick)
    times = Scale("minutes of a cell, as measured", compact)
    by_flops = [Point(key, cost, found) for key, cost, _, found in points]
    by_time = [Point(key, seconds / 60, found) for key, _, seconds, found in points]
    return [
        draw_points(f"Test {board.metric} over FLOPs", f"{told}.", by_flops, costs, y_scale),
        draw_points(f"Test {board.metric} over time", f"{told}.", by_time, times, y_scale),
    ]
