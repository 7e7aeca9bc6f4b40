"""The figures of one setting's cells as files: spectra, cosines, RSA bars, curves, verdicts."""

from collections.abc import Collection, Sequence
from pathlib import Path

from leaderboard.board.board import boards_of
from leaderboard.board.contrasts import main_outcome
from leaderboard.figures.cosines import color_scale
from leaderboard.figures.costs import costs
from leaderboard.figures.curves import learning_curves
from leaderboard.figures.palette import Palette
from leaderboard.figures.primary import draw_primary
from leaderboard.figures.render import Figure, save
from leaderboard.figures.rows import row_figures
from leaderboard.figures.rsa import rsa
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.cells import Cell, named_seeds
from leaderboard.records.known_methods import order_of
from leaderboard.render.numbers import STAGE_NAMES


def draw_all(cells: Sequence[Cell], out: Path) -> tuple[list[Path], list[str]]:
    """Draws every figure that the `cells` of one setting allow into the directory `out`.

    Returns:
        the files written, none where no cell carries what figures are made of; and the
        diagnostics that could not be read, a line each.
    """
    by_method = _with_diagnostics(cells)
    if not by_method:
        return [], []
    kept = [cell for own in by_method.values() for cell in own]
    palette = Palette.of(kept)
    setting = kept[0].record.setting
    of = f"{setting.name} · {named_seeds(sorted({cell.record.seed for cell in kept}))}"
    found = row_figures(by_method, palette)
    paths = _sheet(out, "spectra", found.spectra.values(), 2, f"Spectrum of the new rows · {of}")
    for stage, drawn in found.cosines.items():
        title = f"Cosines between rows, {STAGE_NAMES[stage]} · {of}"
        matrices = [figure for _, figure in drawn]
        paths += save(matrices, out, f"cosines-{stage}", [title], 5, below=color_scale())
    bars = rsa(by_method, setting.semantic_ids.levels, palette).values()
    paths += _sheet(out, "rsa", bars, 3, f"Rows against the codebooks (RSA) · {of}", RSA_READING)
    curves = learning_curves(by_method, MAIN_METRIC, palette)
    paths += _sheet(out, "learning-curves", curves, 2, f"Learning curves · {of}", CURVES_READING)
    refused = []
    for metric in dict.fromkeys((MAIN_METRIC, main_outcome(setting))):
        made = boards_of(kept, metric=metric)
        refused += [*made.refused, *made.notes]
        for board in made.boards:
            panels = costs(board, list(by_method), palette)
            name = f"pareto-{metric}"
            name += "" if len(made.boards) == 1 else f"-{board.setting_hash[:8]}"
            paths += _sheet(out, name, panels, 2, f"Quality against cost · {of}", COSTS_READING)
            if metric == main_outcome(setting):
                paths += draw_primary(board, out)
    return paths, [*found.problems, *refused]


def _sheet(
    out: Path, name: str, figures: Collection[Figure], columns: int, *title: str
) -> list[Path]:
    """Writes `figures` together, if there are any."""
    return save(list(figures), out, name, title, columns) if figures else []


CURVES_READING = "Means of seeds; bands run from the least to the greatest."
COSTS_READING = (
    "Means of a cell with their 95 % interval; rings and steps mark the front of the means."
)
RSA_READING = (
    "Within each level, the first bar within the first; means of seeds, dots are seeds, × is"
    " undefined (rows all alike, or no codebooks). Dashed: level 1 of random rows, which know"
    " nothing: structure is not success."
)


def _with_diagnostics(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Method → its cells that carry diagnostics, by seed; references have none."""
    kept = [cell for cell in cells if cell.record.kind == "cell" and cell.record.diagnostics]
    by_method: dict[str, list[Cell]] = {}
    for cell in sorted(kept, key=lambda c: (order_of(c.record.method), c.record.seed)):
        by_method.setdefault(cell.record.method.key, []).append(cell)
    return by_method
