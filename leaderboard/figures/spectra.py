"""Spectra of the new rows: singular values of all methods at one stage."""

from collections.abc import Sequence

import numpy as np

from leaderboard.figures.axes import Scale
from leaderboard.figures.lines import Line, draw_lines
from leaderboard.figures.palette import method_look
from leaderboard.figures.render import Figure
from leaderboard.records.diagnostics import StageArrays
from leaderboard.render.numbers import STAGE_NAMES

LEAST = 1e-6
"""Smaller values are drawn there."""


def spectrum(key: str, arrays: StageArrays) -> Line | None:
    """Singular values relative to the largest; rows that are all alike have a single one."""
    values = arrays.singular_values[arrays.singular_values > 0].astype(np.float64)
    if not len(values):
        return None
    relative = [float(f"{value:.4g}") for value in (values / values[0]).tolist()]
    label = f"{key} (rank 1)" if len(values) == 1 else key
    return Line(key, method_look(key), list(enumerate(relative, start=1)), label=label)


def spectra(stage: str, lines: Sequence[Line]) -> Figure:
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
