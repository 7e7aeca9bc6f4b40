"""Metrics of the retrieval track: several relevant items per query, in two grades.

Rows of one query and wording make a group; the group's value is defined by its rows, and a metric
is the mean over the groups. Every number is an expectation over the order of tied items.

- `ndcg@k`: Σ gain(grade) × discount(position) over the relevant items / the same sum of the ideal
  ranking, which has all relevant items of the group (in the beam or not) at the top by gain.
- `precision_good@k`, `precision_any@k`: good (or all relevant) items in the top k / k.
- `recall@k`: good items in the top k / good items.
- `mrr@k`: 1 / position of the first good item, 0 if that is below k.

The first four are sums over items, so that the expectation of each item's own position suffices.
For the last one: with g good items among the m equals that stand after b better items, and no good
item before them, the first good one is at place j of the m with probability

    P(1) = g / m,  P(j + 1) = P(j) × (m - g - j + 1) / (m - j).
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaderboard.metrics.positions import Floats, discounts, expected_worth
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import RecordError

GRADED_FAMILIES = ("recall", "ndcg", "mrr", "precision_good", "precision_any")


@dataclass(frozen=True)
class Relevance:
    """How relevance is graded in a setting of the retrieval track.

    Args:
        gains: what an item of grade 1, 2, … is worth in NDCG.
        peers: whether items are of kinds, so that targets are also ranked among their own.
        good: the least grade that is good.
    """

    gains: tuple[float, ...]
    peers: bool = False
    good: int = 2


class Groups:
    """The rows of one split, by query and wording.

    Args:
        ranks: the rows.
        relevance: how they are graded.

    Raises:
        RecordError: an unknown grade, a group without a good item, or counts that contradict each
            other (equal items with unlike numbers of equals, or more of them than there are).
    """

    def __init__(self, ranks: Ranks, relevance: Relevance) -> None:
        self.ranks, self.relevance = ranks, relevance
        top = len(relevance.gains)
        for row in np.flatnonzero((ranks.grade < 1) | (ranks.grade > top))[:1]:
            raise RecordError(
                f"ranks row {row}: grade {ranks.grade[row]}; this setting has grades 1 to {top}"
            )
        self.good = ranks.grade >= relevance.good
        _, query = np.unique(ranks.user, return_inverse=True)
        order = np.lexsort((ranks.wording, query))
        query, wording = query[order], ranks.wording[order]
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (query[1:] != query[:-1]) | (wording[1:] != wording[:-1])
        starts = np.flatnonzero(new)
        self.order, self.group = order, np.cumsum(new) - 1
        """[n] rows in the order of their groups, and the group of each."""
        self.names: npt.NDArray[np.str_] = ranks.user[order[starts]]
        counts = np.zeros((len(starts), top + 1), dtype=np.int64)
        np.add.at(counts, (self.group, ranks.grade[order]), 1)
        self.counts: list[tuple[int, ...]] = [tuple(row) for row in counts[:, 1:].tolist()]
        """Per group how many items of grade 1, 2 and so on."""
        self.num_good: list[int] = counts[:, relevance.good :].sum(axis=1).tolist()
        for place in np.flatnonzero(np.asarray(self.num_good) == 0)[:1]:
            raise RecordError(f"ranks: query {self.names[place]} has no good item")
        self.first = self._first_good()
        self._worth: dict[tuple[str, int], Floats] = {}

    def __len__(self) -> int:
        """The number of groups."""
        return len(self.names)

    def _first_good(self) -> list[tuple[int, int, int] | None]:
        """Per group the first equals with a good item: how many better, equals, good among them.

        None where no good item is in the beam.
        """
        ranks = self.ranks
        inside = np.flatnonzero(ranks.in_beam[self.order])
        rows = self.order[inside]
        # Per group: items better → (how many are equal, rows among them, good ones of these).
        found: list[dict[int, tuple[int, int, int]]] = [{} for _ in range(len(self))]
        columns = (ranks.num_better[rows], ranks.num_tied[rows] + 1, self.good[rows])
        values = (each.tolist() for each in (self.group[inside], rows, *columns))
        for group, row, better, equals, good in zip(*values, strict=True):
            known, count, held = found[group].get(better, (equals, 0, 0))
            if known != equals:
                raise RecordError(
                    f"ranks row {row}: num_tied differs from that of an equal item of the query"
                )
            if count + 1 > equals:
                raise RecordError(
                    f"ranks: {count + 1} rows of query {ranks.user[row]} are equal, where"
                    f" num_tied allows {equals}"
                )
            found[group][better] = equals, count + 1, held + good
        return [self._first(places) for places in found]

    @staticmethod
    def _first(places: dict[int, tuple[int, int, int]]) -> tuple[int, int, int] | None:
        least = min((better for better, (_, _, good) in places.items() if good), default=None)
        return None if least is None else (least, places[least][0], places[least][2])

    def _row_worth(self, family: str, cutoff: int) -> Floats:
        """[n] each row's expected worth, computed once per family and cutoff."""
        kind = "ndcg" if family == "ndcg" else "recall"
        if (kind, cutoff) not in self._worth:
            self._worth[kind, cutoff] = expected_worth(self.ranks, kind, cutoff)
        return self._worth[kind, cutoff]

    def values(self, family: str, cutoff: int) -> Floats:
        """[groups] the value of the metric `family@cutoff` for each group."""
        if family not in GRADED_FAMILIES:
            raise ValueError(f"metric family {family!r} is not defined for graded relevance")
        if family == "mrr":
            return np.array([_reciprocal(first, cutoff) for first in self.first])
        worth = self._row_worth(family, cutoff)
        if family == "ndcg":
            worth = worth * np.asarray(self.relevance.gains)[self.ranks.grade - 1]
            gains = self.relevance.gains
            norms = [_ideal_gain(gains, counts, cutoff) for counts in self.counts]
        else:
            worth = worth if family == "precision_any" else np.where(self.good, worth, 0.0)
            norms = [float(n) if family == "recall" else float(cutoff) for n in self.num_good]
        return np.asarray(self._sums(worth) / np.array(norms))

    def _sums(self, worth: Floats) -> Floats:
        """[groups] the sum of each group's `worth`, rounded once; most rows are worth nothing."""
        paid = np.flatnonzero(worth[self.order])
        values = worth[self.order[paid]]
        groups, starts = np.unique(self.group[paid], return_index=True)
        ends = np.append(starts[1:], len(values)).astype(np.int64)
        sums = np.zeros(len(self))
        sums[groups] = values[starts]
        several, terms = np.flatnonzero(ends - starts > 1), values.tolist()
        spans = (groups[several].tolist(), starts[several].tolist(), ends[several].tolist())
        for group, start, end in zip(*spans, strict=True):
            sums[group] = math.fsum(terms[start:end])
        return sums

    def means_of_good(self, values: Floats) -> Floats:
        """[groups] the mean of the rows' `values` [n] over each group's good items."""
        kept = np.where(self.good, values, 0.0)[self.order]
        sums = np.bincount(self.group, weights=kept, minlength=len(self))
        return np.asarray(sums / np.array(self.num_good))

    def raw_recall(self, cutoff: int) -> Floats:
        """[groups] share of good items whose Semantic ID is hit: `num_better` < `cutoff`."""
        hits = self.ranks.in_beam & (self.ranks.num_better < cutoff) & self.good
        found = np.bincount(self.group, weights=hits[self.order], minlength=len(self))
        return np.asarray(found / np.array(self.num_good))


@functools.cache
def _ideal_gain(gains: tuple[float, ...], counts: tuple[int, ...], cutoff: int) -> float:
    """DCG of the best ranking of `counts` items of grades 1, 2 and so on."""
    best = sorted(
        (gain for gain, count in zip(gains, counts, strict=True) for _ in range(count)),
        reverse=True,
    )[:cutoff]
    return math.fsum(g * d for g, d in zip(best, discounts(cutoff), strict=False))


def _reciprocal(first: tuple[int, int, int] | None, cutoff: int) -> float:
    """Expected 1 / position of the first good item, 0 below `cutoff` (module docstring)."""
    if first is None:
        return 0.0
    better, equals, good = first
    chance = good / equals
    terms = []
    for place in range(1, min(equals - good + 1, cutoff - better) + 1):
        terms.append(chance / (better + place))
        if place < equals:
            chance = chance * (equals - good - place + 1) / (equals - place)
    return math.fsum(terms)
