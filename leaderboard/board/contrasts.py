"""Is it the grounding, more compute, or only that the rows differ? The pairs of methods that tell.

Each pair differs in the one thing it is named after; the methods themselves declare them. What a
setting declares as primary is answered first (`leaderboard.board.primary`); all other pairs are
tested within the family of the setting's board (`leaderboard.board.family`), on one metric.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.board.board import check_mix
from leaderboard.board.checks import Checks
from leaderboard.board.family import Family, family_of
from leaderboard.board.method_rows import BASE, actual_flops
from leaderboard.board.primary import Decided, decide
from leaderboard.board.questions import contrasts_for
from leaderboard.board.tested import Tested
from leaderboard.board.treatment import Taken
from leaderboard.board.user_scores import ScoresReader, null_because, read_scores
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.cells import Cell, LeaderboardError, by_setting, load_cells
from leaderboard.records.facts import Contrast
from leaderboard.records.setting import Setting
from leaderboard.statistics.corrections import LEVEL
from leaderboard.statistics.crossed import Estimate


@dataclass(frozen=True)
class Answer:
    """What the records say about one contrast.

    Args:
        contrast: the pair.
        tested: its test, within the family of the board.
        obstacles: why there is no verdict: what stands in the way of the test, and that a side is
            under-trained or that there is one seed.
    """

    contrast: Contrast
    tested: Tested
    obstacles: tuple[str, ...]

    @property
    def estimate(self) -> Estimate:
        """Of a - b, over the seeds that both have and all users."""
        return self.tested.estimate

    @property
    def p(self) -> float | None:
        """Corrected within the family."""
        return self.tested.p

    @property
    def shown(self) -> bool:
        """Whether the two differ at the 5 % level, after correction, and may be compared."""
        return self.p is not None and self.p < LEVEL and not self.obstacles


@dataclass(frozen=True)
class Answers:
    """All contrasts of a setting that its records allow.

    Args:
        setting: whose records.
        metric: on the test split, of all answers but the primary ones.
        family: what they were tested in; its primary contrasts come first.
        answers: in the order of `contrasts_for`; none that is primary itself.
        missing: contrasts without a seed that both methods have.
        absent: methods of these that have no record at all.
        taken: method with a stage of grounding → whether that took.
        actual: method → actual FLOPs of a cell as a multiple of `mean`'s, where both are known.
        commits: commits that cells were computed at → the methods whose cells were.
    """

    setting: Setting
    metric: str
    family: Family
    answers: tuple[Answer, ...]
    missing: tuple[Contrast, ...]
    absent: tuple[str, ...]
    taken: dict[str, Taken]
    actual: dict[str, float]
    commits: dict[tuple[str, ...], tuple[str, ...]]

    @property
    def decided(self) -> Decided | None:
        """The primary contrasts; None where the setting declares none."""
        return self.family.decided


def main_outcome(setting: Setting) -> str:
    """What contrasts are compared by unless asked otherwise: the declared outcome, if any."""
    return MAIN_METRIC if setting.primary is None else setting.primary.outcome


def load_contrasts(
    sources: Sequence[Sequence[Path]], setting: str, metric: str | None = None
) -> tuple[Answers, list[str]]:
    """The contrasts of `setting`, and which files were left out.

    Args:
        sources: groups of results directories; the first group with both methods of a contrast
            under one hash of the setting is used.
        setting: the setting's name.
        metric: what to compare by; None: `main_outcome`.

    Raises:
        LeaderboardError: as `contrasts_of`, or records that must not be mixed.
    """
    refused = LeaderboardError(f"no records of setting {setting!r}; `gti-bench run` makes some")
    for directories in sources:
        cells, left_out = load_cells(directories, setting)
        for group in by_setting(cells).values():
            check_mix(group)
            try:
                return contrasts_of(group, metric), left_out
            except LeaderboardError as error:
                refused = error
    raise refused


def contrasts_of(
    cells: Sequence[Cell], metric: str | None = None, reader: ScoresReader | None = None
) -> Answers:
    """What `cells`, all of one setting hash, say about their contrasts.

    Args:
        cells: the records.
        metric: what to compare by; None: `main_outcome`.
        reader: what it has read is not read again; None: a new one.

    Raises:
        LeaderboardError: no contrast has both of its methods, the metric is null, or a primary
            contrast names a slice that the setting lacks.
    """
    setting = cells[0].record.setting
    metric = main_outcome(setting) if metric is None else metric
    reader = ScoresReader() if reader is None else reader
    own = [cell for cell in cells if cell.record.kind == "cell"]
    scores = read_scores(own, metric, reader=reader) if own else None
    if own and scores is None:
        raise LeaderboardError(
            f"{metric} of setting {setting.name} is null: {null_because(metric)}"
        )
    checks = Checks(cells)
    family = family_of(cells, scores, reader=reader, known=(checks, decide(cells, checks, reader)))
    answers: list[Answer] = []
    missing: list[Contrast] = []
    for contrast in contrasts_for(cell.record.method for cell in own):
        tested = family.of(contrast.a, contrast.b)
        if tested is None:
            missing.append(contrast)
        elif tested.role != "primary":
            few = checks.too_little(contrast.a, contrast.b, tested.estimate.num_seeds)
            answers.append(Answer(contrast, tested, (*tested.obstacles, *few)))
    if not answers and not (family.decided and family.decided.any_tested):
        known = ", ".join(sorted(checks.records)) or "no cells"
        raise LeaderboardError(
            f"setting {setting.name}: no seed of two methods that a contrast sets against each"
            f" other; it has {known}, and `gti-bench run {setting.name} --methods all` makes them"
        )
    named = dict.fromkeys(key for each in missing for key in (each.a, each.b))
    return Answers(
        setting,
        metric,
        family,
        tuple(answers),
        tuple(missing),
        tuple(key for key in named if key not in checks.records),
        checks.taken,
        _actual(checks),
        _commits(checks),
    )


def _commits(checks: Checks) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Which methods were computed at which commits, in short; "unknown" without one."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for key, own in checks.records.items():
        commits = {(record.code.commit or "unknown")[:7] for record in own.values()}
        place = tuple(sorted(commits))
        found[place] = (*found.get(place, ()), key)
    return found


def _actual(checks: Checks) -> dict[str, float]:
    """Method → actual FLOPs as a multiple of `mean`'s; empty without those."""
    found = {key: actual_flops(list(own.values())) for key, own in checks.records.items()}
    base = found.get(BASE)
    return {key: flops / base for key, flops in found.items() if flops is not None and base}
