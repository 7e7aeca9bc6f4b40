"""The primary contrasts that a setting declares: tested first, each with a verdict.

They are tested on the setting's outcome, over the users of the slices that each names, and
corrected by the setting's rule. A contrast with an obstacle (no records, one seed, a method that
is under-trained, grounding that did not take, something else that differs) has no verdict and
counts as not shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board.checks import Checks
from leaderboard.board.method_rows import common_seeds, paired
from leaderboard.board.moderation import moderated_squares, moderation_of
from leaderboard.board.tested import Tested
from leaderboard.board.user_scores import (
    ScoresReader,
    UserScores,
    null_because,
    read_scores,
)
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.cells import Cell, LeaderboardError
from leaderboard.records.specs import PrimaryContrastSpec, PrimarySpec
from leaderboard.statistics.corrections import LEVEL
from leaderboard.statistics.crossed import Estimate, MeanSquares, estimate
from leaderboard.statistics.equivalence import Verdict, verdict
from leaderboard.statistics.families import gatekeep


@dataclass(frozen=True)
class Decision:
    """What the records say of one primary contrast.

    Args:
        contrast: as the setting declares it.
        tested: its test; None where there is nothing to test.
        verdict: None where there is an obstacle.
        obstacles: why there is no verdict.
    """

    contrast: PrimaryContrastSpec
    tested: Tested | None
    verdict: Verdict | None
    obstacles: tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """The primary contrasts of a setting.

    Args:
        spec: as declared.
        decisions: in the order declared.
        raw: the uncorrected p of each; None where there is an obstacle.
        open: whether every one is shown, so that the rest may be claimed.
    """

    spec: PrimarySpec
    decisions: tuple[Decision, ...]
    raw: tuple[float | None, ...]
    open: bool

    @property
    def any_tested(self) -> bool:
        """Whether some contrast has a seed that both of its methods have."""
        return any(each.tested is not None for each in self.decisions)


@dataclass(frozen=True)
class _Found:
    """The figures of one contrast, before they are corrected."""

    seeds: tuple[int, ...]
    estimate: Estimate
    squares: MeanSquares


def decide(
    cells: Sequence[Cell], checks: Checks, reader: ScoresReader | None = None
) -> Decided | None:
    """The primary contrasts of the setting of `cells`; None where it declares none.

    Args:
        cells: all of one setting hash.
        checks: of the same cells.
        reader: what it has read is not read again.

    Raises:
        LeaderboardError: a contrast names a slice that the setting lacks, or one without users.
    """
    spec = cells[0].record.setting.primary
    if spec is None:
        return None
    reader = ScoresReader() if reader is None else reader
    scores = read_scores(cells, spec.outcome, reader=reader) if checks.records else None
    found = [_found(cells, scores, contrast, reader) for contrast in spec.contrasts]
    obstacles = [
        _obstacles(checks, contrast, own, scores, spec.outcome)
        for contrast, own in zip(spec.contrasts, found, strict=True)
    ]
    raw = tuple(
        None if own is None or why else own.estimate.p
        for own, why in zip(found, obstacles, strict=True)
    )
    corrected = gatekeep(raw, (), spec.rule)
    decisions = [
        _decision(spec, *each)
        for each in zip(spec.contrasts, found, corrected.primary, obstacles, strict=True)
    ]
    return Decided(spec, tuple(decisions), raw, corrected.open)


def _found(
    cells: Sequence[Cell],
    scores: UserScores | None,
    contrast: PrimaryContrastSpec,
    reader: ScoresReader,
) -> _Found | None:
    """The figures of one contrast; None where no seed has both of its methods."""
    if scores is None:
        return None
    if contrast.on:
        try:
            scores = read_scores(cells, scores.metric, contrast.on, reader)
        except LeaderboardError as error:
            raise LeaderboardError(
                f"primary contrast {contrast.a} − {contrast.b}: {error}; a setting with another"
                " primary.contrasts.on is another setting"
            ) from error
        if scores is None:
            return None
    matrix = paired(scores, contrast.a, contrast.b)
    if matrix is None:
        return None
    methods = {cell.record.method.key for cell in cells if cell.record.kind == "cell"}
    squares = moderated_squares(matrix, moderation_of(scores, sorted(methods)))
    seeds = tuple(common_seeds(scores, contrast.a, contrast.b))
    return _Found(seeds, estimate(matrix, squares), squares)


def _obstacles(
    checks: Checks,
    contrast: PrimaryContrastSpec,
    found: _Found | None,
    scores: UserScores | None,
    outcome: str,
) -> tuple[str, ...]:
    """Why one contrast has no verdict; empty where nothing stands in its way."""
    a, b = contrast.a, contrast.b
    missing = [key for key in (a, b) if key not in checks.records]
    if missing:
        return (f"no records of {' and '.join(missing)}",)
    if scores is None:
        return (f"{outcome} is null: {null_because(outcome)}",)
    if found is None:
        return (f"no seed that {a} and {b} share",)
    return (*checks.obstacles(a, b), *checks.too_little(a, b, len(found.seeds)))


def _decision(
    spec: PrimarySpec,
    contrast: PrimaryContrastSpec,
    found: _Found | None,
    p: float | None,
    obstacles: tuple[str, ...],
) -> Decision:
    """The verdict on one contrast with its corrected p."""
    if found is None:
        return Decision(contrast, None, None, obstacles)
    tested = Tested.of(
        (contrast.a, contrast.b),
        found.seeds,
        found.estimate,
        found.squares,
        LEVEL if spec.rule == "fixed order" else LEVEL / len(spec.contrasts),
        p=p,
        role="primary",
        obstacles=obstacles,
        lower_is_better=is_loss(spec.outcome),
    )
    word = verdict(
        found.estimate.mean,
        found.squares,
        spec.margin,
        p,
        higher_is_better=not is_loss(spec.outcome),
    )
    return Decision(contrast, tested, None if obstacles else word, obstacles)
