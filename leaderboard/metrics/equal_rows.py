"""Metrics of the next-item track from the counts of equal rows, as exactly as from row by row.

A row's values depend on its two counts alone, and those take few values. So the rows of each pair
of counts are counted, the pair's values computed once, and a sum over rows is the exact sum of
count × value, rounded once: what `math.fsum` over the rows gives, to the last digit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leaderboard.metrics.positions import Floats, worth_of_counts
from leaderboard.records.ranks import Integers, Ranks
from leaderboard.records.record import RecordError

SPLITTER = 2.0**27 + 1.0
"""Veltkamp's: parts a float64 into two of at most 26 bits each (Dekker 1971)."""
MOST_COUNTED = 2**20
"""Keys below are told apart by counting, which is faster than by sorting."""
MOST_ROWS = 2**26
"""A count below this times either part is exact in a float64."""


def exact_sums(values: Floats, counts: Integers) -> list[float]:
    """Σ count × value, exact and rounded once, for each row of `values`.

    Args:
        values: [m, k], each 0 or between 1e-100 and 1e100 in size.
        counts: [k] from 0 to below `MOST_ROWS`.
    """
    if counts.max(initial=0) >= MOST_ROWS:
        raise ValueError(f"{counts.max()} equal rows; sums are exact below {MOST_ROWS}")
    scaled = SPLITTER * values
    high = scaled - (scaled - values)
    products = np.concatenate([high * counts, (values - high) * counts], axis=1)
    return [math.fsum(row) for row in products.tolist()]


@dataclass(frozen=True, eq=False)
class EqualRows:
    """Rows by their counts.

    Args:
        reached: [r] which rows stand above some cutoff; all others are worth nothing.
        pair: [r] which pair of counts each of these has.
        values: [m, k] what the pair is worth by each of m families and cutoffs.
        rows: [k] how many rows have the pair.
        total: the number of rows, those that reach no cutoff included.
    """

    reached: Integers
    pair: Integers
    values: Floats
    rows: Integers
    total: int

    def among(self, mask: npt.NDArray[np.bool_]) -> "EqualRows":
        """The counts of those rows alone at which `mask` [n] is true."""
        kept = self.pair[mask[self.reached]]
        rows = np.bincount(kept, minlength=len(self.rows))
        return replace(self, rows=rows, total=int(mask.sum()))

    def means(self) -> list[float | None]:
        """[m] the mean over the rows by each family and cutoff; null where there are no rows."""
        sums = exact_sums(self.values, self.rows)
        return [value / self.total if self.total else None for value in sums]


def equal_rows(ranks: Ranks, metrics: Sequence[tuple[str, int]]) -> EqualRows:
    """Counts the rows of `ranks` for the `metrics`, each a family and a cutoff.

    Raises:
        RecordError: a row whose grade is not 1.
    """
    check_grades(ranks)
    most = max((cutoff for _, cutoff in metrics), default=0)
    reached = np.flatnonzero(ranks.in_beam & (ranks.num_better < most))
    ties = np.int64(ranks.num_tied[reached].max(initial=0)) + 1
    keys = ranks.num_better[reached] * ties + ranks.num_tied[reached]
    pairs, pair = _numbered(keys)
    better, tied = (counts.astype(np.int32) for counts in (pairs // ties, pairs % ties))
    values = np.array([worth_of_counts(better, tied, *metric) for metric in metrics])
    rows = np.bincount(pair, minlength=len(better))
    return EqualRows(reached, pair, values.reshape(len(metrics), len(better)), rows, len(ranks))


def _numbered(keys: Integers) -> tuple[Integers, Integers]:
    """The different `keys` [n], rising: [k], and which of them each is: [n]."""
    most = int(keys.max(initial=0))
    if most >= MOST_COUNTED:
        found, places = np.unique(keys, return_inverse=True)
        return found, places
    found = np.flatnonzero(np.bincount(keys, minlength=most + 1))
    places = np.zeros(most + 1, dtype=np.int64)
    places[found] = np.arange(len(found))
    return found, places[keys]


def check_grades(ranks: Ranks) -> None:
    """Refuses rows of the retrieval track.

    Raises:
        RecordError: a row whose grade is not 1.
    """
    for row in np.flatnonzero(ranks.grade != 1)[:1]:
        raise RecordError(
            f"ranks row {row}: grade {ranks.grade[row]}; next-item recommendation has one relevant"
            " item per row, grade 1"
        )
