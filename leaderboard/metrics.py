"""Metrics from counts, defined here and nowhere else: Recall, NDCG and MRR as tie expectations.

A target with `num_better` items above it and `num_tied` others at its score stands, ties broken at
random, at a position that is uniform on `num_better + 1 … num_better + num_tied + 1`. Each row's
value is the expectation over that position; a metric is `math.fsum` over the rows / their number.

One relevant item per row: the ideal ranking has it at position 1, so NDCG needs no further norm.
Graded or several relevant items would enter as gain `2^grade - 1` (0 for grade 0), rows grouped by
(user, wording), with the group's ideal DCG as the norm; rows of grade other than 1 are refused
until then. Nothing here depends on the machine: discounts are rounded from 40 decimal digits and
sums are exact, so a figure can be recomputed to the last digit anywhere.
"""

import decimal
import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leaderboard.ranks import Ranks
from leaderboard.record import Metrics, RecordError

Floats = npt.NDArray[np.float64]

MAIN_METRIC = "ndcg@10"


@functools.cache
def _discounts(cutoff: int) -> tuple[float, ...]:
    """1 / log2(position + 1) at positions 1 … `cutoff`, correctly rounded (Järvelin 2002)."""
    with decimal.localcontext() as context:
        context.prec = 40
        two = decimal.Decimal(2).ln()
        return tuple(float(two / decimal.Decimal(p + 1).ln()) for p in range(1, cutoff + 1))


@functools.cache
def _gains(family: str, cutoff: int) -> tuple[float, ...]:
    """What a target at positions 1 … `cutoff` is worth; nothing further down."""
    if family == "recall":
        return (1.0,) * cutoff
    if family == "ndcg":
        return _discounts(cutoff)
    return tuple(1.0 / position for position in range(1, cutoff + 1))


FAMILIES = ("recall", "ndcg", "mrr")


def parse_metric(name: str) -> tuple[str, int]:
    """Splits `ndcg@10` into ("ndcg", 10).

    Raises:
        ValueError: not FAMILY@K with a known family and a positive K.
    """
    family, _, cutoff = name.partition("@")
    if family not in FAMILIES or not cutoff.isdecimal() or int(cutoff) < 1:
        raise ValueError(
            f"unknown metric {name!r}; metrics are {', '.join(FAMILIES)} at a cutoff: {MAIN_METRIC}"
        )
    return family, int(cutoff)


def row_values(ranks: Ranks, metric: str) -> Floats:
    """The value of `metric` for each row: [n] float64, 0 outside the beam.

    Raises:
        RecordError: a row whose grade is not 1.
    """
    family, cutoff = parse_metric(metric)
    for row in np.flatnonzero(ranks.grade != 1)[:1]:
        raise RecordError(
            f"ranks row {row}: grade {ranks.grade[row]}; protocol 1 scores one relevant item"
            " per row, grade 1"
        )
    gains = np.asarray(_gains(family, cutoff))
    values = np.zeros(len(ranks))
    reached = ranks.in_beam & (ranks.num_better < cutoff)
    single = reached & (ranks.num_tied == 0)
    values[single] = gains[ranks.num_better[single]]
    for row in np.flatnonzero(reached & (ranks.num_tied > 0)):
        better, places = int(ranks.num_better[row]), int(ranks.num_tied[row]) + 1
        values[row] = math.fsum(gains[better : better + places]) / places
    return values


def mean(values: Floats) -> float | None:
    """The exact sum of `values` in row order, rounded once, over their number; null for none."""
    return math.fsum(values) / len(values) if len(values) else None


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """The names of all metrics at `cutoffs`."""
    return [f"{family}@{cutoff}" for family in FAMILIES for cutoff in cutoffs]


def is_defined(metric: str, beam: int | None) -> bool:
    """Whether a beam of `beam` items shows `metric`; None means that all items were ranked."""
    return beam is None or parse_metric(metric)[1] <= beam


def metrics(ranks: Ranks, cutoffs: Sequence[int], beam: int | None) -> Metrics:
    """All metrics over all rows of `ranks` (select a split first).

    Args:
        ranks: the rows.
        cutoffs: the k of `@k`.
        beam: width of the beam that ranked the items; null `@k` for k > beam. None: no beam.
    """
    return {
        name: mean(row_values(ranks, name)) if is_defined(name, beam) else None
        for name in metric_names(cutoffs)
    }


def raw_recall(ranks: Ranks, cutoffs: Sequence[int], beam: int | None) -> Metrics:
    """Recall that takes any item of the hit Semantic ID for a hit: `num_better < k`."""
    result: Metrics = {}
    for cutoff in cutoffs:
        defined = beam is None or cutoff <= beam
        hits = ranks.in_beam & (ranks.num_better < cutoff)
        result[f"recall_raw@{cutoff}"] = mean(hits.astype(np.float64)) if defined else None
    return result


def num_users(ranks: Ranks) -> int:
    """The number of distinct users."""
    return len(np.unique(ranks.user))


def per_user(ranks: Ranks, metric: str) -> tuple[npt.NDArray[np.str_], Floats]:
    """The mean of `metric` over each user's rows.

    Returns:
        users: [U] sorted ids; values: [U] float64.
    """
    values = row_values(ranks, metric)
    users, places, counts = np.unique(ranks.user, return_inverse=True, return_counts=True)
    return users, np.bincount(places, weights=values, minlength=len(users)) / counts


def tercile_cuts(values: npt.NDArray[np.int32]) -> tuple[int, int]:
    """The smallest values that at least one and two thirds of `values` do not exceed."""
    ordered = np.sort(values)
    first, second = -(-len(ordered) // 3), -(-2 * len(ordered) // 3)
    return int(ordered[first - 1]), int(ordered[second - 1])


def _terciles(
    values: npt.NDArray[np.int32], among: npt.NDArray[np.bool_], names: tuple[str, str, str]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Masks of the rows in `among` up to the first cut, up to the second, and above it."""
    if not among.any():
        return dict.fromkeys(names, among)
    first, second = tercile_cuts(values[among])
    return {
        names[0]: among & (values <= first),
        names[1]: among & (values > first) & (values <= second),
        names[2]: among & (values > second),
    }


def slices(ranks: Ranks, cutoffs: Sequence[int], beam: int | None) -> dict[str, Metrics]:
    """Metrics by the target's popularity and by the length of the user's history.

    The cuts are terciles over the rows (`tercile_cuts`), the same for all methods of a setting,
    whose targets are the same: `popularity:tail`, `middle`, `head` among targets with a training
    interaction, `popularity:unseen` for those without; `history:short`, `medium`, `long`. Equal
    values share a slice, so a slice may be small or empty (null metrics).

    Returns:
        per slice the metrics, and `rows` (their number), `from`, `to` (least and greatest
        popularity or length in it).
    """
    popularity, length = ranks.target_popularity, ranks.history_length
    everyone = np.ones(len(ranks), dtype=np.bool_)
    by: list[tuple[npt.NDArray[np.int32], dict[str, npt.NDArray[np.bool_]]]] = [
        (popularity, {"popularity:unseen": popularity == 0}),
        (
            popularity,
            _terciles(
                popularity,
                popularity > 0,
                ("popularity:tail", "popularity:middle", "popularity:head"),
            ),
        ),
        (
            length,
            _terciles(length, everyone, ("history:short", "history:medium", "history:long")),
        ),
    ]
    result: dict[str, Metrics] = {}
    for values, masks in by:
        for name, mask in masks.items():
            inside = values[mask].tolist()
            result[name] = {
                "rows": float(mask.sum()),
                "from": float(min(inside)) if inside else None,
                "to": float(max(inside)) if inside else None,
                **metrics(ranks.where(mask), cutoffs, beam),
            }
    return result
