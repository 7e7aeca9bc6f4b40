"""What a position in a ranking is worth, and its expectation where items are tied.

Nothing here depends on the machine: discounts are rounded from 40 decimal digits, and sums are
exact.
"""

import decimal
import functools
import math

import numpy as np
import numpy.typing as npt

from leaderboard.ranks import Ranks

Floats = npt.NDArray[np.float64]


@functools.cache
def discounts(cutoff: int) -> tuple[float, ...]:
    """1 / log2(position + 1) at positions 1 … `cutoff`, correctly rounded (Järvelin 2002)."""
    with decimal.localcontext() as context:
        context.prec = 40
        two = decimal.Decimal(2).ln()
        return tuple(float(two / decimal.Decimal(p + 1).ln()) for p in range(1, cutoff + 1))


@functools.cache
def worth(family: str, cutoff: int) -> tuple[float, ...]:
    """What a target at positions 1 … `cutoff` is worth; nothing further down."""
    if family == "ndcg":
        return discounts(cutoff)
    if family == "mrr":
        return tuple(1.0 / position for position in range(1, cutoff + 1))
    return (1.0,) * cutoff


def expected_worth(ranks: Ranks, family: str, cutoff: int) -> Floats:
    """[n] each row's expected worth over the order of its ties, 0 outside the beam."""
    gains = np.asarray(worth(family, cutoff))
    values = np.zeros(len(ranks))
    reached = ranks.in_beam & (ranks.num_better < cutoff)
    single = reached & (ranks.num_tied == 0)
    values[single] = gains[ranks.num_better[single]]
    for row in np.flatnonzero(reached & (ranks.num_tied > 0)):
        better, places = int(ranks.num_better[row]), int(ranks.num_tied[row]) + 1
        values[row] = math.fsum(gains[better : better + places]) / places
    return values
