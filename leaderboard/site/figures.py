"""The figures of a board's page: whose they are, and each drawn for the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import BASE
from leaderboard.figures.costs import costs
from leaderboard.figures.curves import learning_curves
from leaderboard.figures.page import Drawing, draw
from leaderboard.figures.palette import method_order
from leaderboard.figures.render import Figure, unchecked
from leaderboard.figures.rows import row_figures
from leaderboard.figures.rsa import rsa
from leaderboard.records.cells import Cell

MOST_DRAWN = 24
"""Methods in a figure; beyond them lines cannot be told apart."""

Write = Callable[[str, bytes], str]
"""Writes a file called so into the site and returns its address for the page."""


@dataclass(frozen=True)
class BoardFigures:
    """What is drawn of one board.

    Args:
        curves: learning curves over steps and over FLOPs, if there are any.
        costs: scores over FLOPs and over time, if they are known.
        spectra: stage → spectra of the new rows.
        matrices: stage → (method, seed, cosine matrix).
        rsa: stage → bars of RSA.
        problems: files that could not be read, one line each.
    """

    curves: list[Drawing]
    costs: list[Drawing]
    spectra: dict[str, Drawing]
    matrices: dict[str, list[tuple[str, int, Drawing]]]
    rsa: dict[str, Drawing]
    problems: list[str]


def drawn_methods(board: Leaderboard) -> list[str]:
    """The methods in the board's figures: the best `MOST_DRAWN`, `mean` always among them."""
    keys = [row.key for row in board.rows if row.kind == "cell"]
    kept = keys[:MOST_DRAWN]
    if BASE in keys and BASE not in kept:
        kept = [*kept[:-1], BASE]
    return sorted(kept, key=method_order)


@unchecked
def board_figures(
    board: Leaderboard, by_method: Mapping[str, Sequence[Cell]], write: Write
) -> BoardFigures:
    """Every figure that the cells of `by_method` allow; pictures are written beside the page."""
    found = row_figures(by_method)
    levels = board.setting.semantic_ids.levels
    return BoardFigures(
        list(map(draw, learning_curves(by_method, board.metric))),
        list(map(draw, costs(board, list(by_method)))),
        {stage: draw(figure) for stage, figure in found.spectra.items()},
        {
            stage: [_matrix(stage, cell, figure, write) for cell, figure in own]
            for stage, own in found.cosines.items()
        },
        {stage: draw(figure) for stage, figure in rsa(by_method, levels).items()},
        found.problems,
    )


def _matrix(stage: str, cell: Cell, figure: Figure, write: Write) -> tuple[str, int, Drawing]:
    """The cosine matrix of `cell`, its picture written beside the page."""
    key, seed = cell.record.method.key, cell.record.seed
    address = write(f"cosine-{stage}-{key}-seed-{seed}.png", figure.picture or b"")
    return key, seed, draw(figure, address)
