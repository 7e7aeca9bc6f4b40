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

from leaderboard.positions import Floats, discounts, expected_worth
from leaderboard.ranks import Ranks
from leaderboard.record import RecordError

GRADED_FAMILIES = ("recall", "ndcg", "mrr", "precision_good", "precision_any")


@dataclass(frozen=True)
class Relevance:
    """How relevance is graded in a setting of the retrieval track.

    Args:
        gains: what an item of grade 1, 2, … is worth in NDCG.
        good: the least grade that is good.
    """

    gains: tuple[float, ...]
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
        self.rows: list[npt.NDArray[np.intp]] = np.split(order, starts[1:]) if len(order) else []
        self.names: npt.NDArray[np.str_] = ranks.user[order[starts]]
        self.num_good = [int(self.good[rows].sum()) for rows in self.rows]
        for place in np.flatnonzero(np.asarray(self.num_good) == 0)[:1]:
            raise RecordError(f"ranks: query {self.names[place]} has no good item")
        self.first = [self._first_good(rows) for rows in self.rows]
        self._worth: dict[tuple[str, int], Floats] = {}

    def __len__(self) -> int:
        """The number of groups."""
        return len(self.rows)

    def _first_good(self, rows: npt.NDArray[np.intp]) -> tuple[int, int, int] | None:
        """The first equals with a good item: how many better, how many equals, good among them.

        None where no good item is in the beam.
        """
        found: dict[int, int] = {}
        for row in rows[self.ranks.in_beam[rows]].tolist():
            better, equals = int(self.ranks.num_better[row]), int(self.ranks.num_tied[row]) + 1
            if found.setdefault(better, equals) != equals:
                raise RecordError(
                    f"ranks row {row}: num_tied differs from that of an equal item of the query"
                )
        inside = rows[self.ranks.in_beam[rows]]
        places, counts = np.unique(self.ranks.num_better[inside], return_counts=True)
        for better, count in zip(places.tolist(), counts.tolist(), strict=True):
            if count > found[better]:
                raise RecordError(
                    f"ranks: {count} rows of query {self.ranks.user[rows[0]]} are equal, where"
                    f" num_tied allows {found[better]}"
                )
        good = inside[self.good[inside]]
        if not len(good):
            return None
        least = int(self.ranks.num_better[good].min())
        return least, found[least], int((self.ranks.num_better[good] == least).sum())

    def _row_worth(self, family: str, cutoff: int) -> Floats:
        """[n] each row's expected worth, computed once per family and cutoff."""
        kind = "ndcg" if family == "ndcg" else "recall"
        if (kind, cutoff) not in self._worth:
            self._worth[kind, cutoff] = expected_worth(self.ranks, kind, cutoff)
        return self._worth[kind, cutoff]

    def values(self, family: str, cutoff: int) -> Floats:
        """[groups] the value of the metric `family@cutoff` for each group."""
        if family == "mrr":
            return np.array([_reciprocal(first, cutoff) for first in self.first])
        worth = self._row_worth(family, cutoff)
        if family == "ndcg":
            worth = worth * np.asarray(self.relevance.gains)[self.ranks.grade - 1]
            norms = [self._ideal(rows, cutoff) for rows in self.rows]
        else:
            worth = worth if family == "precision_any" else np.where(self.good, worth, 0.0)
            norms = [float(n) if family == "recall" else float(cutoff) for n in self.num_good]
        sums = (math.fsum(worth[rows]) for rows in self.rows)
        return np.array([value / norm for value, norm in zip(sums, norms, strict=True)])

    def _ideal(self, rows: npt.NDArray[np.intp], cutoff: int) -> float:
        counts = np.bincount(self.ranks.grade[rows], minlength=len(self.relevance.gains) + 1)
        return _ideal_gain(self.relevance.gains, tuple(counts[1:].tolist()), cutoff)

    def raw_recall(self, cutoff: int) -> Floats:
        """[groups] share of good items whose Semantic ID is hit: `num_better` < `cutoff`."""
        hits = self.ranks.in_beam & (self.ranks.num_better < cutoff) & self.good
        found = [int(hits[rows].sum()) for rows in self.rows]
        return np.array([hit / good for hit, good in zip(found, self.num_good, strict=True)])


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
