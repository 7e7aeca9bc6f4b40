"""What is drawn of the diagnostics files: spectra and cosine matrices, stage by stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leaderboard.board.method_rows import STAGES
from leaderboard.figures.axes import Scale
from leaderboard.figures.cosines import cosines
from leaderboard.figures.lines import Series, draw_lines
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Figure
from leaderboard.records.cells import Cell
from leaderboard.records.diagnostics import StageArrays, read_diagnostics
from leaderboard.records.record import diagnostics_path
from leaderboard.render.numbers import STAGE_NAMES

LEAST = 1e-6
"""Smaller values are drawn there."""


@dataclass
class RowFigures:
    """Figures of the new rows.

    Attributes:
        spectra: stage → all methods' spectra.
        cosines: stage → the cells whose matrices are drawn, with their figures.
        problems: files that could not be read, one line each.
    """

    spectra: dict[str, Figure] = field(default_factory=dict)
    cosines: dict[str, list[tuple[Cell, Figure]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def row_figures(by_method: Mapping[str, Sequence[Cell]], palette: Palette) -> RowFigures:
    """Spectra and cosine matrices of each method's lowest seed that carries them.

    One diagnostics file is open at a time, and no matrix outlives its picture.
    """
    found = RowFigures()
    lines: dict[str, list[Series]] = {}
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
            line = _spectrum(key, arrays[stage], palette)
            if line is not None:
                lines.setdefault(stage, []).append(line)
            if len(arrays[stage].cosine):
                drawn = (cell, cosines(cell, stage, arrays[stage]))
                found.cosines.setdefault(stage, []).append(drawn)
    found.spectra = {stage: _spectra(stage, lines[stage]) for stage in STAGES if stage in lines}
    found.cosines = {s: found.cosines[s] for s in STAGES if s in found.cosines}
    return found


def _spectrum(key: str, arrays: StageArrays, palette: Palette) -> Series | None:
    """Singular values relative to the largest; rows that are all alike have a single one."""
    values = arrays.singular_values[arrays.singular_values > 0].astype(np.float64)
    if not len(values):
        return None
    relative = [float(f"{value:.4g}") for value in (values / values[0]).tolist()]
    label = f"{key} (rank 1)" if len(values) == 1 else key
    return Series(key, palette.look(key), list(enumerate(relative, start=1)), label=label)


def _spectra(stage: str, lines: Sequence[Series]) -> Figure:
    """The spectra of all methods at one stage."""
    least = min(line.points[-1][1] for line in lines)
    told = ", ".join(f"{line.key} {len(line.points)}" for line in lines)
    return draw_lines(
        f"Spectra {STAGE_NAMES[stage]}",
        f"Singular values above zero: {told}.",
        lines,
        Scale("index of the singular value", low=0.0),
        Scale("singular value / largest", max(least / 1.5, LEAST), 1.2, "log"),
        STAGE_NAMES[stage],
    )
