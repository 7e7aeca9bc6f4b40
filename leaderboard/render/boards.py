"""The boards that a command prints, with notes on what was left out of them."""

import os
from collections.abc import Sequence
from pathlib import Path

from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.records.processes import cores

MOST_LEFT_OUT = 3
"""Records left out that are named one by one."""


def relative(path: Path) -> str:
    """`path` as seen from the working directory, where it lies below it."""
    path = path.resolve()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def boards(
    folders: Sequence[Path], metric: str, setting: str | None, slice_name: str | None = None
) -> tuple[list[Leaderboard], list[str], list[str]]:
    """Boards, notes, and what was refused or left out, from the records under `folders`."""
    found = load_leaderboards(folders, metric, setting, slice_name, cores())
    left_out = [note for note in found.notes if note.startswith("left out")]
    notes = [note for note in found.notes if note not in left_out]
    if len(left_out) > MOST_LEFT_OUT:
        more = len(left_out) - MOST_LEFT_OUT
        left_out = [
            *left_out[:MOST_LEFT_OUT],
            f"left out: {more} more; `gti-bench verify` lists all",
        ]
    return list(found.boards), notes, [*found.refused, *left_out]
