"""What the GTI paper states, judged board by board from records alone.

Three statements (arXiv 2604.02324, abstract): rows at the mean have no directions of their own;
fine-tuning does not give them what it gives rows that differ; grounding does better than both mean
initialization and alignment tasks. The first two are of rows, by what records say of them, the
third is of scores, by the verdicts of the board.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

from leaderboard.board.board import Leaderboard, boards_of, by_hash
from leaderboard.board.contrasts import main_outcome
from leaderboard.board.method_rows import BASE
from leaderboard.board.over_boards import FEWEST_SEEDS, GTI, Mark, on_board
from leaderboard.records.cells import Cell, load_cells
from leaderboard.records.record import Record

Word = Literal["holds", "contrary", "open", "no verdict", "not run"]

ONE_DIRECTION = 1.5
"""Effective rank up to which rows count as one direction."""
AT_THE_MEAN = (BASE, "mean_matched")
"""Methods whose rows stand at the mean when SFT begins; the first that has run counts."""
APART = {
    BASE: ("random", "random_matched", GTI),
    "mean_matched": ("random_matched", "random", GTI),
}
"""For each of these, methods whose rows stand apart when SFT begins; the first that has run."""
BEATEN = (BASE, "mean_matched", "lc_rec")
"""What grounding is to do better than; the second is the first with as much compute."""


@dataclass(frozen=True)
class Judged:
    """One statement on one board.

    Args:
        statement: its key in `STATEMENTS`.
        setting: the board's.
        setting_hash: the same, by hash.
        evidence: whether the board is evidence about GTI.
        word: what the records say; open: neither it nor the contrary is shown.
        because: the figures that it rests on.
    """

    statement: str
    setting: str
    setting_hash: str
    evidence: bool
    word: Word
    because: str


Records = Mapping[str, Mapping[int, Record]]
"""Method → seed → record."""


def _collapses(records: Records, board: Leaderboard) -> tuple[Word, str]:
    """Whether rows at the mean are one direction, at every seed."""
    for key in AT_THE_MEAN:
        ranks = [
            found.effective_rank
            for record in records.get(key, {}).values()
            if (found := record.diagnostics.get("init")) and found.effective_rank is not None
        ]
        if ranks:
            most = max(ranks)
            word: Word = "holds" if most <= ONE_DIRECTION else "contrary"
            return word, f"{key} before SFT: effective rank {most:.1f}"
    return "not run", f"no record of {' or '.join(AT_THE_MEAN)} has diagnostics"


def _outlives(records: Records, board: Leaderboard) -> tuple[Word, str]:
    """Whether rows from the mean are more alike after SFT than rows that began apart."""
    key = next((each for each in AT_THE_MEAN if _after_sft(records, each)), None)
    if key is None:
        return "not run", f"no record of {' or '.join(AT_THE_MEAN)} has diagnostics"
    own = _after_sft(records, key)
    other = next((each for each in APART[key] if own.keys() & _after_sft(records, each)), None)
    if other is None:
        return "not run", f"no seed of {key} and of {' or '.join(APART[key])}"
    theirs = _after_sft(records, other)
    seeds = sorted(own.keys() & theirs.keys())
    differences = np.array([own[seed] - theirs[seed] for seed in seeds])
    means = (float(np.mean([found[seed] for seed in seeds])) for found in (own, theirs))
    told = "mean cosine after SFT {:.3f} of {}, {:.3f} of {}".format(
        *(each for pair in zip(means, (key, other), strict=True) for each in pair)
    )
    if len(seeds) < FEWEST_SEEDS:
        return "no verdict", f"{told}; one seed"
    low, high = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    told += f"; {differences.mean():+.3f} [{low:+.3f}, {high:+.3f}] over seeds"
    return ("holds" if low > 0 else "contrary" if high < 0 else "open"), told


def _after_sft(records: Records, key: str) -> dict[int, float]:
    """Seed → mean cosine between two of the new rows after SFT."""
    return {
        seed: found.cosine_mean
        for seed, record in records.get(key, {}).items()
        if (found := record.diagnostics.get("sft")) and found.cosine_mean is not None
    }


def _beats(records: Records, board: Leaderboard) -> tuple[Word, str]:
    """Whether `gti` does better than what it is to do better than, by the board's verdicts."""
    marks: dict[str, Mark] = {
        each.method: each.gti_is
        for each in on_board(board)
        if each.method in BEATEN and each.gti_is is not None
    }
    told = ", ".join(f"{key} {marks.get(key, 'not run')}" for key in BEATEN)
    told = f"by {board.metric}, gti against: {told}"
    found = set(marks.values())
    if not found or GTI not in records:
        return "not run", told
    if "worse" in found:
        return "contrary", told
    if found == {"no verdict"}:
        return "no verdict", told
    missing = "lc_rec" not in marks or not {BASE, "mean_matched"} & marks.keys()
    return ("holds" if found == {"better"} and not missing else "open"), told


STATEMENTS: dict[str, tuple[str, Callable[[Records, Leaderboard], tuple[Word, str]]]] = {
    "mean collapses": ("rows at the mean are one direction before fine-tuning", _collapses),
    "the collapse outlives SFT": (
        "after fine-tuning they are more alike than rows that began apart",
        _outlives,
    ),
    "grounding is better": (
        "grounding scores better than mean initialization, and than alignment tasks",
        _beats,
    ),
}
"""Statement → what it says of a board, and what judges it."""


def judge(board: Leaderboard, cells: Sequence[Cell]) -> list[Judged]:
    """What the records behind `board`, made by its declared outcome, say of each statement.

    Args:
        board: of `cells`.
        cells: all of its setting hash; references say nothing of rows.
    """
    records: dict[str, dict[int, Record]] = {}
    for cell in cells:
        if cell.record.kind == "cell":
            records.setdefault(cell.record.method.key, {})[cell.record.seed] = cell.record
    return [
        Judged(key, board.setting.name, board.setting_hash, board.evidence, *judges(records, board))
        for key, (_, judges) in STATEMENTS.items()
    ]


def load_judged(directories: Sequence[Path]) -> list[Judged]:
    """The statements on the boards of the records under `directories`, as `together`.

    Args:
        directories: results directories; where two hold one cell the first counts.
    """
    cells, _ = load_cells(directories)
    found: list[Judged] = []
    for group in by_hash(cells).values():
        for board in boards_of(group, metric=main_outcome(group[0].record.setting)).boards:
            own = [each for each in group if each.record.setting_hash == board.setting_hash]
            found += judge(board, own)
    return together(found)


def together(found: Sequence[Judged]) -> list[Judged]:
    """Statement by statement, boards of evidence first; boards that judge none are left out."""
    some = {each.setting_hash for each in found if each.word != "not run"}
    order = list(STATEMENTS)
    return sorted(
        (each for each in found if each.setting_hash in some),
        key=lambda each: (order.index(each.statement), not each.evidence),
    )
