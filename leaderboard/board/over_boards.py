"""What the boards say of a method together: contrasts won and lost, and where it ranks.

Each board speaks by the outcome that its setting declares (`ndcg@10` where it declares none), and
three times of a method: in the primary contrasts that it stands in, in its difference from `mean`,
and in what `gti` is against it. Nothing is tested anew: the verdicts are the board's, corrected
there.

A method's rank is 1 and the number of methods with a better mean. It can lie where the board's
corrected tests of all pairs (the letters of its ties) leave it: below no more methods than can be
told apart from it and have a better mean, above no more than have a worse one. As these tests are
wrong about any pair at most 5 times in 100, the intervals of a board hold together 95 times in 100
(Al Mohamad, Goeman and van Zwet 2022, "Simultaneous confidence intervals for ranks with application
to ranking institutions"). A pair with a single seed in common is not told apart.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

from leaderboard.board.board import Leaderboard, boards_of, by_hash
from leaderboard.board.contrasts import main_outcome
from leaderboard.board.method_rows import MethodRow
from leaderboard.board.primary import Decision
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.cells import load_cells

FEWEST_SEEDS = 2
"""Seeds that two methods share, below which nothing is said of others."""

GTI = "gti"
"""The method that the others are set beside."""

Mark = Literal["better", "worse", "equal", "open", "no verdict"]
"""What is shown of one method against another; open: neither a difference nor equality, or it is
not claimed."""


@dataclass(frozen=True)
class Verdicts:
    """How many comparisons of a method came out in which way.

    Args:
        won: the method is shown to be better.
        lost: it is shown to be worse.
        equal: the difference is shown to be smaller than the declared margin.
        open: nothing of that is shown, or it is not claimed.
        unjudged: there is no verdict: one seed, grounding that did not take, under-trained cells.
    """

    won: int = 0
    lost: int = 0
    equal: int = 0
    open: int = 0
    unjudged: int = 0

    def __add__(self, other: "Verdicts") -> "Verdicts":
        return Verdicts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class OnBoard:
    """What one board says of one method.

    Args:
        method: its key.
        setting: the board's.
        setting_hash: the same, by hash.
        metric: which its differences and ranks are of.
        evidence: whether the board is evidence about GTI.
        declared: the primary contrasts that the method stands in.
        against_base: its difference from `mean`.
        gti_is: what `gti` is shown to be against it, in the contrast that the setting declares
            where there is one; None where no pair asks, of `gti` itself and without its records.
        rank: 1 is best; None where it has no score.
        low: the best rank that it can have; None where it has no score.
        high: the worst rank that it can have; None where it has no score.
        methods: how many are ranked.
        hours: that its cells took, of one core or GPU each.
    """

    method: str
    setting: str
    setting_hash: str
    metric: str
    evidence: bool
    declared: Verdicts
    against_base: Verdicts
    gti_is: Mark | None
    rank: int | None
    low: int | None
    high: int | None
    methods: int
    hours: float


@dataclass(frozen=True)
class Total:
    """What several boards say of one method; ranks are means over those that rank it.

    Args:
        method: its key.
        boards: how many it stands on.
        declared: the primary contrasts that it stands in, summed.
        against_base: the differences from `mean`, summed.
        rank: mean over the boards; None where none ranks it.
        low: mean of the best ranks that it can have.
        high: mean of the worst.
        hours: that its cells took on all of them.
    """

    method: str
    boards: int
    declared: Verdicts
    against_base: Verdicts
    rank: float | None
    low: float | None
    high: float | None
    hours: float


def on_board(board: Leaderboard) -> list[OnBoard]:
    """What `board` says of each of its methods, in its order; references are not in it."""
    rows = [row for row in board.rows if row.kind == "cell"]
    sign = -1.0 if is_loss(board.metric) else 1.0
    scores = {
        row.key: sign * mean for row in rows if (mean := row.means.get(board.metric)) is not None
    }
    decided = board.family.decided
    found = []
    for row in rows:
        declared = Verdicts()
        for each in () if decided is None else decided.decisions:
            declared += _declared(each, row.key)
        rank, low, high = _rank(row, rows, scores)
        found.append(
            OnBoard(
                method=row.key,
                setting=board.setting.name,
                setting_hash=board.setting_hash,
                metric=board.metric,
                evidence=board.evidence,
                declared=declared,
                against_base=_against_base(row),
                gti_is=_gti_is(board, row.key),
                rank=rank,
                low=low,
                high=high,
                methods=len(scores),
                hours=row.seconds * len(row.paths) / 3600,
            )
        )
    return found


def _declared(decision: Decision, key: str) -> Verdicts:
    """What one primary contrast says of method `key`: nothing where it does not stand in it."""
    contrast = decision.contrast
    if key not in (contrast.a, contrast.b):
        return Verdicts()
    if decision.verdict is None:
        return Verdicts(unjudged=1)
    if decision.verdict == "equal":
        return Verdicts(equal=1)
    if decision.verdict == "open":
        return Verdicts(open=1)
    won = (decision.verdict == "better") == (key == contrast.a)
    return Verdicts(won=1) if won else Verdicts(lost=1)


def _against_base(row: MethodRow) -> Verdicts:
    """What the difference from `mean` says; at one seed alone nothing of another."""
    difference = row.difference
    if difference is None:
        return Verdicts()
    if difference.verdict in ("no verdict", "not tested") or len(difference.seeds) < FEWEST_SEEDS:
        return Verdicts(unjudged=1)
    if difference.verdict == "better":
        return Verdicts(won=1)
    return Verdicts(lost=1) if difference.verdict == "worse" else Verdicts(open=1)


def _gti_is(board: Leaderboard, key: str) -> Mark | None:
    """What `gti` is against method `key`: better, worse, or why neither is said."""
    decided = board.family.decided
    for each in () if decided is None else decided.decisions:
        pair = (each.contrast.a, each.contrast.b)
        if each.tested is not None and set(pair) == {GTI, key}:
            if each.verdict in ("better", "worse") and pair[0] != GTI:
                return "worse" if each.verdict == "better" else "better"
            return each.verdict or "no verdict"
    tested = board.family.of(GTI, key)
    if tested is None:
        return None
    if tested.verdict in ("no verdict", "not tested") or len(tested.seeds) < FEWEST_SEEDS:
        return "no verdict"
    return tested.verdict if tested.verdict in ("better", "worse") else "open"


def _rank(
    row: MethodRow, rows: Sequence[MethodRow], scores: Mapping[str, float]
) -> tuple[int, int, int] | tuple[None, None, None]:
    """The rank of `row` by `scores`, of which more is better, and the ranks it can lie between."""
    if row.key not in scores:
        return None, None, None
    own = scores[row.key]
    better = [each for each in rows if scores.get(each.key, own) > own]
    worse = [each for each in rows if scores.get(each.key, own) < own]
    low = 1 + sum(_apart(row, each) for each in better)
    high = len(scores) - sum(_apart(row, each) for each in worse)
    return 1 + len(better), low, high


def _apart(one: MethodRow, other: MethodRow) -> bool:
    """Whether the board tells the two apart, over seeds."""
    shared = one.paths.keys() & other.paths.keys()
    tested = bool(one.ties and other.ties) and len(shared) >= FEWEST_SEEDS
    return tested and not set(one.ties) & set(other.ties)


def totals(found: Iterable[OnBoard]) -> list[Total]:
    """Each method over all boards in `found`, the best mean rank first."""
    by_method: dict[str, list[OnBoard]] = {}
    for each in found:
        by_method.setdefault(each.method, []).append(each)
    made = [_total(key, own) for key, own in by_method.items()]
    return sorted(made, key=lambda e: (math.inf if e.rank is None else e.rank, e.method))


def _total(key: str, own: Sequence[OnBoard]) -> Total:
    """What the boards of `own`, all of one method, say together."""
    declared, against_base = Verdicts(), Verdicts()
    for each in own:
        declared, against_base = declared + each.declared, against_base + each.against_base
    rank, low, high = (
        _mean([getattr(each, name) for each in own]) for name in ("rank", "low", "high")
    )
    hours = sum(each.hours for each in own)
    return Total(key, len(own), declared, against_base, rank, low, high, hours)


def _mean(ranks: Sequence[int | None]) -> float | None:
    """The mean of the ranks there are; None without one."""
    known = [rank for rank in ranks if rank is not None]
    return sum(known) / len(known) if known else None


def load_on_boards(
    directories: Sequence[Path], metric: str | None = None, setting: str | None = None
) -> tuple[list[OnBoard], list[str]]:
    """What the boards of the records under `directories` say, and what was left out or refused.

    Args:
        directories: results directories; where two hold one cell the first counts.
        metric: what all boards speak by; None: each by the outcome that its setting declares.
        setting: only boards of this setting's name.
    """
    cells, notes = load_cells(directories, setting)
    found: list[OnBoard] = []
    refused: list[str] = []
    for group in by_hash(cells).values():
        made = boards_of(group, metric=metric or main_outcome(group[0].record.setting))
        refused += [*made.refused, *made.notes]
        found += [each for board in made.boards for each in on_board(board)]
    return found, [*notes, *refused]
