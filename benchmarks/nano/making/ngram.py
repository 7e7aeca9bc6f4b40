"""Interpolated Kneser-Ney n-grams over token ids: what a model without meaning reaches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 13  # an id of an 8,192-entry vocabulary

Ids = NDArray[np.int64]


@dataclass
class Order:
    """Counts of one order, sorted by key; a key packs a context and the token after it."""

    keys: Ids
    counts: Ids
    contexts: Ids
    totals: Ids
    types: Ids
    discount: float


class KneserNey:
    """Interpolated Kneser-Ney with one discount per order (Chen and Goodman 1999, section 2.7).

    The highest order uses plain counts, the lower ones the number of distinct tokens before
    the n-gram; below the unigrams lies the uniform distribution.
    """

    def __init__(self, tokens: Ids, order: int = 4, vocabulary: int = 1 << BITS) -> None:
        """`tokens: [num_tokens]`, one long text."""
        self.vocabulary = vocabulary
        self.orders: list[Order] = []
        keys, counts = np.unique(packed(tokens, order), return_counts=True)
        for n in range(order, 0, -1):
            contexts, first = np.unique(keys >> BITS, return_index=True)
            types = np.diff(np.append(first, len(keys)))
            totals = np.add.reduceat(counts, first)
            ones, twos = int((counts == 1).sum()), int((counts == 2).sum())
            discount = ones / (ones + 2 * twos) if ones else 0.5
            self.orders.insert(0, Order(keys, counts, contexts, totals, types, discount))
            keys, counts = np.unique(keys & ((1 << (BITS * (n - 1))) - 1), return_counts=True)

    def log_probabilities(self, tokens: Ids) -> NDArray[np.float64]:
        """Natural log-probability of `tokens[1:]`, each given those before: `[num_tokens - 1]`."""
        order = len(self.orders)
        padded = np.concatenate([np.zeros(order, dtype=np.int64), tokens])
        probability = np.full(len(tokens) - 1, 1.0 / self.vocabulary)
        for n, counts in enumerate(self.orders, start=1):
            keys = packed(padded, n)[-(len(tokens) - 1) :]
            count = find(counts.keys, counts.counts, keys)
            total = find(counts.contexts, counts.totals, keys >> BITS)
            types = find(counts.contexts, counts.types, keys >> BITS)
            seen = np.maximum(total, 1)
            kept = np.maximum(count - counts.discount, 0.0) / seen
            mixed = kept + counts.discount * types / seen * probability
            probability = np.where(total > 0, mixed, probability)
        logs: NDArray[np.float64] = np.log(probability)
        return logs


def packed(tokens: Ids, order: int) -> Ids:
    """All n-grams of the text as integers: `[num_tokens - order + 1]`."""
    keys = np.zeros(len(tokens) - order + 1, dtype=np.int64)
    for i in range(order):
        keys = (keys << BITS) | tokens[i : len(tokens) - order + 1 + i]
    return keys


def find(keys: Ids, values: Ids, wanted: Ids) -> Ids:
    """The value of each wanted key, 0 where it is not among the sorted keys."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
