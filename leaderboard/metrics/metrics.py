"""Metrics from counts: Recall (of one relevant item the hit rate), NDCG and MRR over ties.

A target with `num_better` items above it and `num_tied` others at its score stands, ties broken at
random, at a position that is uniform on `num_better + 1 … num_better + num_tied + 1`. Each row's
value is the expectation over that position (`positions` says what each is worth); a metric is
`math.fsum` over the rows / their number.

Next-item recommendation has one relevant item per row, of grade 1: the ideal ranking has it at
position 1, so NDCG needs no further norm. The retrieval track has several relevant items per query,
in grades (`Relevance`): there rows are grouped by query and wording (`leaderboard.metrics.graded`),
and a metric is the mean over the groups. Nothing here depends on the machine: discounts are rounded
from 40 decimal digits and sums are exact, so a figure can be recomputed to the last digit anywhere.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboard.metrics.equal_rows import check_grades, equal_rows
from leaderboard.metrics.graded import GRADED_FAMILIES, Groups, Relevance
from leaderboard.metrics.positions import Floats, expected_worth
from leaderboard.records.parts import Metrics
from leaderboard.records.ranks import LOSSES, Ranks
from leaderboard.records.setting import Setting

PEER_AUC = "peer_auc"
"""Share of a target's peers that stand below it, tied ones counted half: by chance .5. Of test
queries for items that no query was trained on (`gti.search.peers`); others have none."""

WHOLE = (*LOSSES, PEER_AUC)
"""Metrics without a cutoff."""

MAIN_METRIC = "ndcg@10"
"""Of rank metrics the one that tables show first; a setting with primary contrasts names its own
outcome."""


FAMILIES = ("recall", "ndcg", "mrr")
ALL_FAMILIES = tuple(dict.fromkeys((*FAMILIES, *GRADED_FAMILIES)))
"""Of rank metrics, which have a cutoff."""


def relevance_of(setting: Setting) -> Relevance | None:
    """How relevance is graded in `setting`; null on the next-item track."""
    queries = setting.queries
    if queries is None:
        return None
    return Relevance(queries.gains, peers=queries.warm_cold_new is not None)


def families_of(relevance: Relevance | None) -> tuple[str, ...]:
    """The families of metrics that a track has."""
    return FAMILIES if relevance is None else GRADED_FAMILIES


def is_loss(metric: str) -> bool:
    """Whether `metric` is one of `LOSSES`, of which less is better."""
    return metric in LOSSES


def parse_metric(name: str) -> tuple[str, int]:
    """Splits `ndcg@10` into ("ndcg", 10); those of `WHOLE` have no cutoff: ("trie_nll", 0).

    Raises:
        ValueError: neither of `WHOLE` nor FAMILY@K with a known family and a positive K.
    """
    if name in WHOLE:
        return name, 0
    family, _, cutoff = name.partition("@")
    if family not in ALL_FAMILIES or not cutoff.isdecimal() or int(cutoff) < 1:
        raise ValueError(
            f"unknown metric {name!r}; metrics are {', '.join(WHOLE)}, and"
            f" {', '.join(ALL_FAMILIES)} at a cutoff: {MAIN_METRIC}"
        )
    return family, int(cutoff)


def row_values(ranks: Ranks, metric: str) -> Floats:
    """The value of `metric` for each row of the next-item track: [n] float64.

    Raises:
        RecordError: a row whose grade is not 1.
    """
    family, cutoff = parse_metric(metric)
    check_grades(ranks)
    if metric in WHOLE:
        return whole_values(ranks, metric)
    return expected_worth(ranks, family, cutoff)


def mean(values: Floats) -> float | None:
    """The exact sum of `values` in row order, rounded once, over their number; null for none."""
    return math.fsum(values.tolist()) / len(values) if len(values) else None


def metric_names(cutoffs: Sequence[int], relevance: Relevance | None = None) -> list[str]:
    """The names of all metrics: those without a cutoff, and the others at `cutoffs`."""
    peers = relevance is not None and relevance.peers
    return [*(WHOLE if peers else LOSSES), *rank_metric_names(cutoffs, relevance)]


def rank_metric_names(cutoffs: Sequence[int], relevance: Relevance | None = None) -> list[str]:
    """The names of the rank metrics at `cutoffs`."""
    return [f"{family}@{cutoff}" for family in families_of(relevance) for cutoff in cutoffs]


def is_defined(metric: str, beam: int | None) -> bool:
    """Whether a beam of `beam` items shows `metric`; None means that all items were ranked.

    Losses need no beam but a model: the rows of a reference, which has no beam either, have none.
    Among its peers every target has a place.
    """
    if is_loss(metric):
        return beam is not None
    return beam is None or metric == PEER_AUC or parse_metric(metric)[1] <= beam


def metrics(
    ranks: Ranks, cutoffs: Sequence[int], beam: int | None, relevance: Relevance | None = None
) -> Metrics:
    """All metrics over all rows of `ranks` (select a split first).

    Args:
        ranks: the rows.
        cutoffs: the k of `@k`.
        beam: width of the beam that ranked the items; null `@k` for k > beam. None: no beam.
        relevance: how the retrieval track grades; None: next-item recommendation.
    """
    return {**_whole(ranks, relevance), **_rank_metrics(ranks, cutoffs, beam, relevance)}


def whole_values(ranks: Ranks, metric: str) -> Floats:
    """[n] the metric of `WHOLE` called `metric` of each row; NaN where it has none."""
    if metric == PEER_AUC:
        above = ranks.peers_better + ranks.peers_tied / 2
        shares: Floats = 1 - above / np.where(ranks.peers > 0, ranks.peers, np.nan)
        return shares
    values: Floats = getattr(ranks, metric)
    return values


def _whole(ranks: Ranks, relevance: Relevance | None) -> Metrics:
    """Means of the metrics without a cutoff over all rows, or over all queries and wordings.

    A query's value is the mean over its good items. Losses are null where they were not measured;
    `peer_auc`, of the queries that have it, is left out there.
    """
    measured = [*(LOSSES if ranks.has_nll else ()), *([PEER_AUC] if ranks.has_peers else [])]
    found: Metrics = dict.fromkeys(LOSSES)
    groups = Groups(ranks, relevance) if relevance is not None and measured else None
    for name in measured:
        values = whole_values(ranks, name)
        values = values if groups is None else groups.means_of_good(values)
        found[name] = mean(values[~np.isnan(values)])
    return found


def _rank_metrics(
    ranks: Ranks, cutoffs: Sequence[int], beam: int | None, relevance: Relevance | None
) -> Metrics:
    """All rank metrics over all rows of `ranks`."""
    names = rank_metric_names(cutoffs, relevance)
    if relevance is None:
        return _defined(
            names, equal_rows(ranks, [parse_metric(name) for name in names]).means(), beam
        )
    groups = Groups(ranks, relevance)
    means = [
        mean(groups.values(*parse_metric(name))) if is_defined(name, beam) else None
        for name in names
    ]
    return dict(zip(names, means, strict=True))


def _defined(names: Sequence[str], means: Sequence[float | None], beam: int | None) -> Metrics:
    """Names and means, null where a beam of `beam` items does not show the metric."""
    pairs = zip(names, means, strict=True)
    return {name: value if is_defined(name, beam) else None for name, value in pairs}


def raw_recall(
    ranks: Ranks, cutoffs: Sequence[int], beam: int | None, relevance: Relevance | None = None
) -> Metrics:
    """Recall that takes any item of the hit Semantic ID for a hit: `num_better < k`."""
    groups = None if relevance is None else Groups(ranks, relevance)
    result: Metrics = {}
    for cutoff in cutoffs:
        if groups is not None:
            value = mean(groups.raw_recall(cutoff))
        else:
            hits = int((ranks.in_beam & (ranks.num_better < cutoff)).sum())
            value = hits / len(ranks) if len(ranks) else None
        defined = beam is None or cutoff <= beam
        result[f"recall_raw@{cutoff}"] = value if defined else None
    return result


def num_users(ranks: Ranks) -> int:
    """The number of distinct users (of queries on the retrieval track)."""
    return len(ranks.coded("user").used)


def per_user(
    ranks: Ranks, metric: str, relevance: Relevance | None = None
) -> tuple[npt.NDArray[np.str_], Floats]:
    """The mean of `metric` over each user's rows, or over each query's wordings.

    Returns:
        users: [U] sorted ids; values: [U] float64, NaN for a query that has no such value.
    """
    if relevance is None:
        names, values = ranks.user, row_values(ranks, metric)
    else:
        groups = Groups(ranks, relevance)
        names = groups.names
        values = (
            groups.means_of_good(whole_values(ranks, metric))
            if metric in WHOLE
            else groups.values(*parse_metric(metric))
        )
    users, places = np.unique(names, return_inverse=True)
    return users, means_by_place(values, places, len(users))


def means_by_place(values: Floats, places: npt.NDArray[np.integer[Any]], count: int) -> Floats:
    """[count] the mean of the `values` [n] at each of the `places` [n], none of them empty."""
    sums = np.bincount(places, weights=values, minlength=count)
    return sums / np.bincount(places, minlength=count)


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


def slice_masks(
    ranks: Ranks, relevance: Relevance | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which rows of `ranks` (select a split first) lie in which slice: name → [n]; see `slices`."""
    if relevance is not None:
        kinds = np.array([name.partition("/")[0] for name in ranks.user.tolist()], dtype=np.str_)
        return {f"queries:{kind}": kinds == kind for kind in np.unique(kinds).tolist()}
    popularity = ranks.target_popularity
    thirds = ("popularity:tail", "popularity:middle", "popularity:head")
    lengths = ("history:short", "history:medium", "history:long")
    everyone = np.ones(len(ranks), dtype=np.bool_)
    return {
        "popularity:unseen": popularity == 0,
        **_terciles(popularity, popularity > 0, thirds),
        **_terciles(ranks.history_length, everyone, lengths),
        "transition:seen": ranks.transitions > 0,
        "transition:unseen": ranks.transitions == 0,
    }


def slices(
    ranks: Ranks, cutoffs: Sequence[int], beam: int | None, relevance: Relevance | None = None
) -> dict[str, Metrics]:
    """Metrics of parts of the rows: by popularity and history, or by kind of query.

    Next-item recommendation: by the target's popularity and by the length of the user's history.
    The cuts are terciles over the rows (`tercile_cuts`), the same for all methods of a setting,
    whose targets are the same: `popularity:tail`, `middle`, `head` among targets with a training
    interaction, `popularity:unseen` for those without; `history:short`, `medium`, `long`. Equal
    values share a slice, so a slice may be small or empty (null metrics). `transition:seen`: some
    training history goes from the user's last item straight to the target, which counting finds
    too; `transition:unseen`: none does.

    Retrieval track, where queries have no history and are good for many items: `queries:KIND`
    by what stands before the first stroke of the query's id (`item`, `category`).

    Returns:
        per slice the metrics, and `rows` (their number), `from`, `to` (least and greatest
        popularity or length in it; relevant items per query on the retrieval track).
    """
    names = rank_metric_names(cutoffs, relevance)
    whole = equal_rows(ranks, [parse_metric(name) for name in names]) if relevance is None else None
    result: dict[str, Metrics] = {}
    for name, mask in slice_masks(ranks, relevance).items():
        values = _values_of_slice(ranks, mask, name)
        result[name] = {
            "rows": float(mask.sum()),
            "from": float(values.min()) if len(values) else None,
            "to": float(values.max()) if len(values) else None,
            **_whole(ranks.where(mask), relevance),
            **(
                _rank_metrics(ranks.where(mask), cutoffs, beam, relevance)
                if whole is None
                else _defined(names, whole.among(mask).means(), beam)
            ),
        }
    return result


def _values_of_slice(
    ranks: Ranks, mask: npt.NDArray[np.bool_], name: str
) -> npt.NDArray[np.integer[Any]]:
    """The values a slice is cut by: popularity, history length, or relevant items per query."""
    by = name.partition(":")[0]
    if by == "popularity":
        return ranks.target_popularity[mask]
    if by == "history":
        return ranks.history_length[mask]
    if by == "transition":
        return ranks.transitions[mask]
    inside = ranks.where(mask)
    _, sizes = np.unique(inside.user, return_counts=True)
    per_query: npt.NDArray[np.integer[Any]] = sizes // len(np.unique(inside.wording))
    return per_query
