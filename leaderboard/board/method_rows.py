"""The rows of a board: one method's mean over seeds, its difference from `mean`, ties and marks."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leaderboard.board.standing import Standing, standing_of
from leaderboard.board.tested import Word
from leaderboard.board.treatment import Taken, treatment_of
from leaderboard.board.user_scores import Floats, UserScores
from leaderboard.metrics.metrics import is_loss, metric_names, relevance_of
from leaderboard.records.cells import Cell
from leaderboard.records.parts import Metrics
from leaderboard.records.record import Record
from leaderboard.statistics.crossed import Estimate, estimate

BASE = "mean"
"""The method that all others are compared with."""

FLOOR = "popularity"
"""The reference that a cell must pass at `FLOOR_METRIC` to support any claim."""

FLOOR_METRIC = "recall@10"
STAGES = ("init", "grounding", "sft")
DIAGNOSTICS = ("effective_rank", "rsa_level_1", "cosine_mean", "text_affinity")


@dataclass(frozen=True)
class Difference:
    """`method` - `base` on the seeds both have.

    Args:
        base: key of the method subtracted.
        seeds: those compared on.
        estimate: mean difference, interval, uncorrected p; without the p for references.
        p: corrected within the family of the board (`leaderboard.board.family`); None for
            references, and where it is not claimed because a primary contrast is not shown.
        smallest: smallest true difference that would be shown four times in five, at the level
            that the strictest of the corrected comparisons needs; None for references.
        seeds_needed: seeds at which a true difference as large as this one would be shown so
            often, at the same level; None where unknown or more seeds would not do, and for
            references.
        verdict: whether the method is better than `base`, as far as can be shown; references and
            differences without a p are not tested.
        obstacles: why there is no verdict, whatever the p.
        lower_is_better: whether the metric is a loss.
    """

    base: str
    seeds: tuple[int, ...]
    estimate: Estimate
    p: float | None
    smallest: float | None
    seeds_needed: int | None
    verdict: Word
    obstacles: tuple[str, ...] = ()
    lower_is_better: bool = False


@dataclass(frozen=True)
class MethodRow:
    """One method or reference on a board.

    Args:
        key: the method.
        kind: cell or reference.
        asks: who was scored: users, or queries of the retrieval track.
        group: the method's group.
        summary: the method in one line.
        method_hash: identity of method and own parameters.
        paths: seed → record file.
        missing_seeds: seeds of the setting without a record; none for references.
        means: test metric → mean over seeds, None where undefined.
        seed_sds: test metric → standard deviation over seeds, None with one seed.
        score: the board's metric with its interval; None where it is undefined.
        difference: from `mean`; None for `mean` itself or where it has no common seed.
        ties: letters shared by methods that no corrected test tells apart; empty for references.
        under_trained: seeds at which recall@10 lies below popularity's.
        diagnostics: stage → number → mean over seeds, None where undefined.
        seconds: mean per cell, all stages.
        nominal_flops: mean per cell, all stages; None where not counted.
        actual_flops: the same as this code computed them.
        extra_flops: mean share of the extra budget spent, in nominal FLOPs; None for references.
        taken: whether grounding took; None where the method has no such stage.
        retained: bits per character of plain English before and after, means over seeds; None
            where it was not measured.
        standing: which of the records were verified or reproduced.
    """

    key: str
    kind: Literal["cell", "reference"]
    asks: Literal["users", "queries"]
    group: str
    summary: str
    method_hash: str
    paths: dict[int, Path]
    missing_seeds: tuple[int, ...]
    means: dict[str, float | None]
    seed_sds: dict[str, float | None]
    score: Estimate | None
    difference: Difference | None
    ties: str
    under_trained: tuple[int, ...]
    diagnostics: dict[str, dict[str, float | None]]
    seconds: float
    nominal_flops: float | None
    actual_flops: float | None
    extra_flops: float | None
    taken: Taken | None
    retained: tuple[float, float] | None
    standing: Standing


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is defined, None for nothing."""
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None


def _sd(values: Sequence[float | None]) -> float | None:
    """Standard deviation over seeds; None with fewer than two or where one is undefined."""
    center = _mean(values)
    if center is None or len(values) < 2 or None in values:
        return None
    squares = math.fsum((value - center) ** 2 for value in values if value is not None)
    return math.sqrt(squares / (len(values) - 1))


def metrics_of(record: Record, slice_name: str | None = None) -> Metrics:
    """The test metrics of `record`, of all users or of one slice."""
    return record.metrics["test"] if slice_name is None else record.slices.get(slice_name, {})


def mean_of(cells: Sequence[Cell], metric: str, slice_name: str | None = None) -> float | None:
    """Mean test `metric` of `cells`; None where it is undefined."""
    return _mean(metrics_of(cell.record, slice_name).get(metric) for cell in cells)


def best_first(
    by_method: Mapping[str, Sequence[Cell]], metric: str, slice_name: str | None = None
) -> list[str]:
    """The methods by their mean, undefined ones last, equal ones by name."""
    sign = 1.0 if is_loss(metric) else -1.0

    def place(key: str) -> tuple[float, str]:
        mean = mean_of(by_method[key], metric, slice_name)
        return (math.inf if mean is None else sign * mean, key)

    return sorted(by_method, key=place)


def common_seeds(scores: UserScores, left: str, right: str) -> list[int]:
    """The seeds that both have."""
    have = [scores.values.get(key, {}).keys() for key in (left, right)]
    return sorted(have[0] & have[1])


def paired(scores: UserScores, left: str, right: str) -> Floats | None:
    """[S, U] values of `left` - `right` on the seeds both have; None where there is none."""
    common = common_seeds(scores, left, right)
    return scores.matrix(left, common) - scores.matrix(right, common) if common else None


def score_of(scores: UserScores | None, key: str) -> Estimate | None:
    """The score of `key` with its interval; None where it has none, as a reference of a loss."""
    if scores is None or key not in scores.values:
        return None
    return estimate(scores.matrix(key, sorted(scores.values[key])))


def make_row(
    by_method: dict[str, list[Cell]],
    key: str,
    scores: UserScores | None,
    difference: Difference | None,
    ties: str,
    seeds: Sequence[int],
    slice_name: str | None = None,
) -> MethodRow:
    """The row of method `key`, over all users or those of one slice."""
    cells = by_method[key]
    records = [cell.record for cell in cells]
    found = {record.seed for record in records}
    kind = records[0].kind
    setting = records[0].setting
    names = metric_names(setting.evaluation.cutoffs, relevance_of(setting))
    found_metrics = [metrics_of(record, slice_name) for record in records]
    columns = {name: [each.get(name) for each in found_metrics] for name in names}
    return MethodRow(
        key=key,
        kind=kind,
        asks=setting.asks,
        group=records[0].method.group,
        summary=records[0].method.summary,
        method_hash=records[0].method_hash,
        paths={cell.record.seed: cell.path for cell in cells},
        missing_seeds=tuple(s for s in seeds if s not in found) if kind == "cell" else (),
        means={name: _mean(column) for name, column in columns.items()},
        seed_sds={name: _sd(column) for name, column in columns.items()},
        score=score_of(scores, key),
        difference=difference,
        ties=ties,
        under_trained=under_trained(records, by_method.get(FLOOR)),
        diagnostics=_diagnostics(records),
        seconds=_mean(math.fsum(c.seconds for c in r.cost.values()) for r in records) or 0.0,
        nominal_flops=_mean(_flops(c.nominal_flops for c in r.cost.values()) for r in records),
        actual_flops=actual_flops(records),
        extra_flops=_mean(r.budget.extra_spent_flops for r in records if r.budget is not None),
        taken=treatment_of(records) if kind == "cell" else None,
        retained=_retained(records),
        standing=standing_of(cells),
    )


def under_trained(records: Sequence[Record], floor: list[Cell] | None) -> tuple[int, ...]:
    """Seeds whose recall@10 over all users is below popularity's; none where either is unknown.

    It is null where the beam keeps fewer than ten items.
    """
    least = None if floor is None else floor[0].record.metrics["test"].get(FLOOR_METRIC)
    if least is None:
        return ()
    found = ((r.seed, r.kind, r.metrics["test"].get(FLOOR_METRIC)) for r in records)
    return tuple(
        seed
        for seed, kind, value in found
        if kind == "cell" and value is not None and value < least
    )


def _diagnostics(records: Sequence[Record]) -> dict[str, dict[str, float | None]]:
    """Per stage the mean over seeds of what `DIAGNOSTICS` names."""
    return {
        stage: {
            name: _mean(
                getattr(record.diagnostics[stage], name)
                for record in records
                if stage in record.diagnostics
            )
            for name in DIAGNOSTICS
        }
        for stage in STAGES
        if any(stage in record.diagnostics for record in records)
    }


def actual_flops(records: Sequence[Record]) -> float | None:
    """FLOPs that a cell really took, all stages, mean over seeds; None where none were counted."""
    return _mean(_flops(c.actual_flops for c in record.cost.values()) for record in records)


def _flops(counted: Iterable[float | None]) -> float | None:
    """The sum over the stages; None where none was counted."""
    known = [flops for flops in counted if flops is not None]
    return math.fsum(known) if known else None


def _retained(records: Sequence[Record]) -> tuple[float, float] | None:
    """Bits per character before and after, means over the records that measured them."""
    measured = [record.retention for record in records if record.retention is not None]
    before, after = (_mean(getattr(each, end) for each in measured) for end in ("before", "after"))
    return None if before is None or after is None else (before, after)
