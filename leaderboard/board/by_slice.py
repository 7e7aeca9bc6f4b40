"""A board's scores and differences in every slice, from ranks that are read once.

Slice by slice these are the figures of `leaderboard.board.board.build` with that slice's name,
without its ties: intervals of the crossed model, differences from `mean` corrected within the
slice's family of tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board.board import Leaderboard
from leaderboard.board.checks import Checks
from leaderboard.board.differences import differences_from_base
from leaderboard.board.family import family_of
from leaderboard.board.method_rows import Difference, score_of
from leaderboard.board.user_scores import ScoresReader, read_scores
from leaderboard.metrics.slices import extent_of_slice
from leaderboard.records.cells import Cell
from leaderboard.statistics.crossed import Estimate


@dataclass(frozen=True)
class SliceScores:
    """What the users of one slice say.

    Args:
        name: the slice.
        extent: what its users have in common.
        num_users: how many there are, at least one.
        scores: row's key → its score; None where it has none, as a reference of a loss.
        differences: row's key → its difference from `mean`; none of `mean` itself.
    """

    name: str
    extent: str
    num_users: int
    scores: dict[str, Estimate | None]
    differences: dict[str, Difference]


def scores_by_slice(
    board: Leaderboard, cells: Sequence[Cell], reader: ScoresReader
) -> tuple[SliceScores, ...]:
    """The slices of `board` that have users, in the order in which they rise.

    Args:
        board: of all users.
        cells: those it was built of.
        reader: what read them.
    """
    if read_scores(cells, board.metric, reader=reader) is None:
        return ()
    first = cells[0]
    members = reader.members(first)
    order = [row.key for row in board.rows]
    methods = [row.key for row in board.rows if row.kind == "cell"]
    known = Checks(cells), board.family.decided
    found = []
    for name in sorted((name for name in members if members[name].any()), key=_place):
        known_here = [cell.record.slices.get(name, {}).get(board.metric) for cell in cells]
        if all(value is None for value in known_here):
            continue
        part = read_scores(cells, board.metric, (name,), reader)
        assert part is not None  # as of all users
        family = family_of(cells, part, frozenset((name,)), reader, known)
        found.append(
            SliceScores(
                name,
                extent_of_slice(name, first.record.slices.get(name, {})),
                len(part.users),
                {key: score_of(part, key) for key in order},
                differences_from_base(part, order, methods, family),
            )
        )
    return tuple(found)


_RISING = ("unseen", "seen", "tail", "middle", "head", "short", "medium", "long")


def _place(name: str) -> tuple[str, int, str]:
    """Sorts slices of one kind by what they are chosen by."""
    kind, _, part = name.partition(":")
    return kind, _RISING.index(part) if part in _RISING else len(_RISING), name
