"""What a position in a ranking is worth, and its expectation where items are tied.

Nothing here depends on the machine: discounts are rounded from 40 decimal digits, and sums are
exact.
"""

import decimal
import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboard.records.ranks import Ranks

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.integer[Any]]


@functools.cache
def discounts(cutoff: int) -> tuple[float, ...]:
    """1 / log2(position + 1) at positions 1 … `cutoff`, correctly rounded (Järvelin 2002)."""
    with decimal.localcontext() as context:
        context.prec = 40
        two = decimal.Decimal(2).ln()
        return tuple(float(two / decimal.Decimal(p + 1).ln()) for p in range(1, cutoff + 1))


FLAT = ("recall", "precision_good", "precision_any")
"""Families for which a hit is worth the same wherever it stands; recall@k of one relevant item is
the hit rate."""


@functools.cache
def worth(family: str, cutoff: int) -> tuple[float, ...]:
    """What a target at positions 1 … `cutoff` is worth; nothing further down."""
    if family == "ndcg":
        return discounts(cutoff)
    if family == "mrr":
        return tuple(1.0 / position for position in range(1, cutoff + 1))
    if family in FLAT:
        return (1.0,) * cutoff
    raise ValueError(f"metric family {family!r} does not say what a position is worth")


def expected_worth(ranks: Ranks, family: str, cutoff: int) -> Floats:
    """[n] each row's expected worth over the order of its ties, 0 outside the beam."""
    values = np.zeros(len(ranks))
    inside = ranks.in_beam
    values[inside] = worth_of_counts(
        ranks.num_better[inside], ranks.num_tied[inside], family, cutoff
    )
    return values


def worth_of_counts(better: Counts, tied: Counts, family: str, cutoff: int) -> Floats:
    """[n] the expected worth of a target with `better` [n] items above it and `tied` [n] equals."""
    gains = np.asarray(worth(family, cutoff))
    values = np.zeros(len(better))
    reached = better < cutoff
    single = reached & (tied == 0)
    values[single] = gains[better[single]]
    for row in np.flatnonzero(reached & (tied > 0)):
        values[row] = _worth_of_ties(int(better[row]), int(tied[row]) + 1, family, cutoff)
    return values


@functools.lru_cache(maxsize=2**16)
def _worth_of_ties(better: int, places: int, family: str, cutoff: int) -> float:
    """The mean worth of so many `places` after `better` items."""
    return math.fsum(worth(family, cutoff)[better : better + places]) / places
