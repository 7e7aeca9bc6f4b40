"""What is drawn of the diagnostics files: spectra and cosine matrices, stage by stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leaderboard.board.method_rows import STAGES
from leaderboard.figures.cosines import cosines
from leaderboard.figures.lines import Line
from leaderboard.figures.render import Figure
from leaderboard.figures.spectra import spectra, spectrum
from leaderboard.records.cells import Cell
from leaderboard.records.diagnostics import read_diagnostics
from leaderboard.records.record import diagnostics_path


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


def row_figures(by_method: Mapping[str, Sequence[Cell]]) -> RowFigures:
    """Spectra and cosine matrices of each method's lowest seed that carries them.

    One diagnostics file is open at a time, and no matrix outlives its picture.
    """
    found = RowFigures()
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
            line = spectrum(key, arrays[stage])
            if line is not None:
                lines.setdefault(stage, []).append(line)
            if len(arrays[stage].cosine):
                drawn = (cell, cosines(cell, stage, arrays[stage]))
                found.cosines.setdefault(stage, []).append(drawn)
    found.spectra = {stage: spectra(stage, lines[stage]) for stage in STAGES if stage in lines}
    found.cosines = {s: found.cosines[s] for s in STAGES if s in found.cosines}
    return found
