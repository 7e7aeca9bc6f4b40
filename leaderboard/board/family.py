"""One family of tests for a board and its contrasts: what is declared first, the rest behind it.

A setting may declare primary contrasts (`leaderboard.board.primary`). All other differences that
are shown, those from `mean` and those of the pairs that methods declare, are *secondary* then: one
family, corrected by Holm, and claimed only where every primary contrast is shown
(`leaderboard.statistics.families`). A setting that declares none has that one family alone. Board
and contrasts take their p from here, so that a pair has the same on both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board.checks import Checks
from leaderboard.board.method_rows import common_seeds, paired
from leaderboard.board.moderation import Moderation, moderated_squares, moderation_of
from leaderboard.board.primary import Decided, decide
from leaderboard.board.questions import pairs_shown
from leaderboard.board.tested import Tested
from leaderboard.board.user_scores import ScoresReader, UserScores
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.cells import Cell
from leaderboard.statistics.corrections import LEVEL, holm
from leaderboard.statistics.crossed import Estimate, MeanSquares, estimate
from leaderboard.statistics.families import gatekeep


@dataclass(frozen=True)
class Family:
    """All tests of one metric on a board, of all users or of some.

    Args:
        tests: pair → its test, in one of its two directions.
        decided: the primary contrasts; None where the setting declares none.
        level: what the smallest p of the tests that are not primary is held against.
        size: how many of them are corrected together.
        moderation: what moderates their seed variance.
    """

    tests: dict[frozenset[str], Tested]
    decided: Decided | None
    level: float
    size: int
    moderation: Moderation | None

    def of(self, a: str, b: str) -> Tested | None:
        """The test of `a` - `b`; None where the two share no seed."""
        found = self.tests.get(frozenset((a, b)))
        return found if found is None or found.a == a else found.turned


def behind(decided: Decided | None, p_values: Sequence[float | None]) -> list[float | None]:
    """`p_values` corrected by Holm, behind the primary contrasts where there are some."""
    if decided is None:
        return holm(p_values)
    return list(gatekeep(decided.raw, p_values, decided.spec.rule).secondary)


def family_of(
    cells: Sequence[Cell],
    scores: UserScores | None,
    part: frozenset[str] = frozenset(),
    reader: ScoresReader | None = None,
    known: tuple[Checks, Decided | None] | None = None,
) -> Family:
    """The family of what `cells`, all of one setting hash, show of one metric.

    Args:
        cells: the records.
        scores: of the metric, of the users in `part`; None where it is null: nothing is tested.
        part: the slices that the users lie in; empty: all users.
        reader: what it has read is not read again.
        known: the checks and primary contrasts of the same cells, where they are known.

    Raises:
        LeaderboardError: a primary contrast names a slice that the setting lacks.
    """
    if known is None:
        checks = Checks(cells)
        known = checks, decide(cells, checks, reader)
    checks, decided = known
    if scores is None:
        return Family({}, decided, LEVEL, 0, None)
    moderation = moderation_of(scores, list(checks.records))
    tests = _primary_here(decided, scores.metric, part)
    found: dict[tuple[str, str], tuple[Estimate, MeanSquares]] = {}
    cards = [next(iter(own.values())).method for own in checks.records.values()]
    for pair in pairs_shown(cards):
        matrix = paired(scores, *pair)
        if matrix is not None and frozenset(pair) not in tests:
            squares = moderated_squares(matrix, moderation)
            found[pair] = estimate(matrix, squares), squares
    level = LEVEL / max(len(found), 1)
    corrected = behind(decided, [each.p for each, _ in found.values()])
    for (pair, (own, squares)), p in zip(found.items(), corrected, strict=True):
        tests[frozenset(pair)] = Tested.of(
            pair,
            common_seeds(scores, *pair),
            own,
            squares,
            level,
            p=p,
            role="alone" if decided is None else "secondary",
            obstacles=checks.obstacles(*pair),
            lower_is_better=is_loss(scores.metric),
        )
    return Family(tests, decided, level, len(found), moderation)


def _primary_here(
    decided: Decided | None, metric: str, part: frozenset[str]
) -> dict[frozenset[str], Tested]:
    """The primary tests that are of this very metric and of these very users."""
    if decided is None or decided.spec.outcome != metric:
        return {}
    return {
        frozenset((each.contrast.a, each.contrast.b)): each.tested
        for each in decided.decisions
        if each.tested is not None and frozenset(each.contrast.on) == part
    }
