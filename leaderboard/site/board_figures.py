"""The figures of a board's page: whose they are, and each drawn for the page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import BASE
from leaderboard.figures.costs import costs
from leaderboard.figures.curves import learning_curves
from leaderboard.figures.inline_svg import Drawing, draw
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Figure, unchecked
from leaderboard.figures.rows import row_figures
from leaderboard.figures.rsa import rsa
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.cells import Cell

MOST_DRAWN = 24
"""Methods in a figure; beyond them lines cannot be told apart."""

LOSS = "trie_nll"
"""Whose learning curves stand beside those of the board's metric."""

Write = Callable[[str, bytes], str]
"""Writes a file called so into the site and returns its address for the page."""


def drawn_methods(board: Leaderboard, palette: Palette) -> list[str]:
    """The methods in the board's figures: the best `MOST_DRAWN`, `mean` always among them."""
    keys = [row.key for row in board.rows if row.kind == "cell"]
    kept = keys[:MOST_DRAWN]
    if BASE in keys and BASE not in kept:
        kept = [*kept[:-1], BASE]
    return palette.ordered(kept)


@unchecked
def board_figures(
    board: Leaderboard,
    by_method: Mapping[str, Sequence[Cell]],
    palette: Palette,
    write: Write,
    by_outcome: Leaderboard | None = None,
) -> dict[str, Any]:
    """Every figure that the cells of `by_method` allow, under its name in the template.

    Pictures are written beside the page. `by_outcome` is the same board by the outcome that its
    setting declares, where that is another metric.
    """

    def matrix(stage: str, cell: Cell, figure: Figure) -> tuple[str, int, Drawing]:
        key, seed = cell.record.method.key, cell.record.seed
        address = write(f"cosine-{stage}-{key}-seed-{seed}.png", figure.picture or b"")
        return key, seed, draw(figure, address)

    found = row_figures(by_method, palette)
    losses = [] if is_loss(board.metric) else learning_curves(by_method, LOSS, palette)
    bars = rsa(by_method, board.setting.semantic_ids.levels, palette)
    return {
        "curves": list(map(draw, [*learning_curves(by_method, board.metric, palette), *losses])),
        "losses_drawn": bool(losses),
        "costs": [
            draw(figure)
            for each in (board, by_outcome)
            if each is not None
            for figure in costs(each, list(by_method), palette)
        ],
        "spectra": {stage: draw(figure) for stage, figure in found.spectra.items()},
        "matrices": {
            stage: [matrix(stage, *each) for each in own] for stage, own in found.cosines.items()
        },
        "rsa": {stage: draw(figure) for stage, figure in bars.items()},
        "problems": found.problems,
    }
