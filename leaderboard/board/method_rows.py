"""The rows of a board: one method's mean over seeds, its difference from `mean`, ties and marks.

Every method is compared with `mean`, seed by seed and user by user; Holm's correction runs over
the methods. References (popularity, Markov, other libraries' models) take no part in corrected
tests.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from leaderboard.board.moderation import Moderation, moderated_squares
from leaderboard.board.standing import Standing, standing_of
from leaderboard.board.user_scores import Floats, UserScores
from leaderboard.metrics.metrics import metric_names, relevance_of
from leaderboard.records.cells import Cell
from leaderboard.records.parts import Metrics
from leaderboard.records.record import Record
from leaderboard.statistics.corrections import holm, tie_letters
from leaderboard.statistics.crossed import (
    LEVEL,
    Estimate,
    MeanSquares,
    estimate,
    seeds_needed,
    smallest_difference,
)

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
        p: corrected by Holm over the methods of the board; None for references.
        smallest: smallest true difference that would be shown four times in five, at the level
            that the strictest of the corrected comparisons needs; None for references.
        seeds_needed: seeds at which a true difference as large as this one would be shown so
            often, at the same level; None where unknown or more seeds would not do, and for
            references.
        verdict: whether the method is better than `base`, as far as can be shown; references and
            differences without a p are not tested.
    """

    base: str
    seeds: tuple[int, ...]
    estimate: Estimate
    p: float | None
    smallest: float | None
    seeds_needed: int | None
    verdict: Literal["better", "worse", "not shown", "not tested"]


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
        extra_flops: mean share of the extra budget spent, in FLOPs; None for references.
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
    extra_flops: float | None
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


def mean_of(cells: Sequence[Cell], metric: str, slice_name: str | None = None) -> float:
    """Mean test `metric` of `cells` for sorting; undefined comes last."""
    found = _mean(metrics_of(cell.record, slice_name).get(metric) for cell in cells)
    return -math.inf if found is None else found


def common_seeds(scores: UserScores, left: str, right: str) -> list[int]:
    """The seeds that both have."""
    return sorted(scores.values[left].keys() & scores.values[right].keys())


def paired(scores: UserScores, left: str, right: str) -> Floats | None:
    """[S, U] values of `left` - `right` on the seeds both have; None where there is none."""
    common = common_seeds(scores, left, right)
    return scores.matrix(left, common) - scores.matrix(right, common) if common else None


def _against_reference(scores: UserScores, reference: str, base: str) -> Floats:
    """[S, U] values of a reference, the mean of its seeds if it has some, minus each of `base`."""
    own: Floats = scores.matrix(reference, sorted(scores.values[reference])).mean(axis=0)
    return own - scores.matrix(base, sorted(scores.values[base]))


def differences_from_base(
    scores: UserScores | None,
    order: Sequence[str],
    methods: Sequence[str],
    moderation: Moderation | None = None,
) -> dict[str, Difference]:
    """Each row's difference from `mean`, corrected over the methods; references' not moderated."""
    if scores is None or BASE not in scores.values:
        return {}
    found: dict[str, Floats] = {}
    for key in order:
        matrix = (
            paired(scores, key, BASE) if key in methods else _against_reference(scores, key, BASE)
        )
        if key != BASE and matrix is not None:
            found[key] = matrix
    squares = {
        key: moderated_squares(matrix, moderation if key in methods else None)
        for key, matrix in found.items()
    }
    estimates = {key: estimate(matrix, squares[key]) for key, matrix in found.items()}
    tested = [key for key in found if key in methods]
    corrected = dict(zip(tested, holm([estimates[key].p for key in tested]), strict=True))
    level = LEVEL / max(len(tested), 1)
    seeds = {key: common_seeds(scores, key if key in methods else BASE, BASE) for key in found}
    return {
        key: _difference(squares[key], seeds[key], estimates[key], corrected[key], level)
        if key in corrected
        else _untested(seeds[key], estimates[key])
        for key in found
    }


def _untested(seeds: Sequence[int], found: Estimate) -> Difference:
    """The difference of a reference: how large it is, and nothing of a test."""
    return Difference(BASE, tuple(seeds), replace(found, p=None), None, None, None, "not tested")


def _difference(
    squares: MeanSquares, seeds: Sequence[int], found: Estimate, p: float | None, level: float
) -> Difference:
    """The difference that varies as `squares` say, with the verdict of its corrected `p`."""
    verdict: Literal["better", "worse", "not shown", "not tested"] = "not tested"
    if p is not None:
        verdict = "not shown" if p >= LEVEL else "better" if found.mean > 0 else "worse"
    return Difference(
        base=BASE,
        seeds=tuple(seeds),
        estimate=found,
        p=p,
        smallest=smallest_difference(squares, level),
        seeds_needed=seeds_needed(squares, found.mean, level),
        verdict=verdict,
    )


def letters_of_ties(
    scores: UserScores | None, methods: Sequence[str], moderation: Moderation | None = None
) -> dict[str, str]:
    """Letters of ties over all pairs of methods, Holm-corrected over the pairs."""
    if scores is None:
        return {}
    pairs = list(itertools.combinations(methods, 2))
    p_values: list[float | None] = []
    for left, right in pairs:
        matrix = paired(scores, left, right)
        p_values.append(
            None if matrix is None else estimate(matrix, moderated_squares(matrix, moderation)).p
        )
    corrected = zip(pairs, holm(p_values), strict=True)
    return tie_letters(methods, [pair for pair, p in corrected if p is not None and p < LEVEL])


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
        score=None if scores is None else estimate(scores.matrix(key, sorted(found))),
        difference=difference,
        ties=ties,
        under_trained=under_trained(records, by_method.get(FLOOR)),
        diagnostics=_diagnostics(records),
        seconds=_mean(math.fsum(c.seconds for c in r.cost.values()) for r in records) or 0.0,
        nominal_flops=_mean(_nominal_flops(record) for record in records),
        extra_flops=_mean(r.budget.extra_spent_flops for r in records if r.budget is not None),
        standing=standing_of(cells),
    )


def under_trained(records: Sequence[Record], floor: list[Cell] | None) -> tuple[int, ...]:
    """Seeds whose recall@10 over all users is below popularity's; none where that is unknown."""
    least = None if floor is None else floor[0].record.metrics["test"].get(FLOOR_METRIC)
    if least is None:
        return ()
    found = ((r.seed, r.kind, r.metrics["test"].get(FLOOR_METRIC)) for r in records)
    return tuple(s for s, kind, value in found if kind == "cell" and (value or 0.0) < least)


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


def _nominal_flops(record: Record) -> float | None:
    """Nominal FLOPs of all stages; None where none was counted."""
    counted = [c.nominal_flops for c in record.cost.values() if c.nominal_flops is not None]
    return math.fsum(counted) if counted else None
