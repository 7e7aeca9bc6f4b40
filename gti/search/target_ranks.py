"""Where targets stand in a ranking, counted: items scored above each, and items at its score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gti.data.dataset import IntArray
from gti.search.decoding import Beams, Leaves


@dataclass(frozen=True)
class ItemRanks:
    """Where the target items stand, as counts: the only source of every metric.

    Attributes:
        num_better: [targets] items scored above the target; −1 where it is outside the beam.
        num_tied: [targets] other items with exactly the target's score; −1 outside the beam.
        beam_used: [users] leaves in the beam.
        trie_mass: [users, levels], see `Beams`.
    """

    num_better: IntArray
    num_tied: IntArray
    beam_used: IntArray
    trie_mass: NDArray[np.float64]


def rank_targets(
    beams: Beams, trie: Leaves, targets: IntArray, removed: Sequence[IntArray] | None = None
) -> ItemRanks:
    """Counts better and tied items within the beam for each user's one target.

    Args:
        beams: from `beam_search`.
        trie: the same.
        targets: [users] target items.
        removed: per user the items taken out of the ranking (seen items, where the setting says
            so); null keeps all.
    """
    return rank_relevant(beams, trie, targets[:, None], removed)


def rank_relevant(
    beams: Beams,
    trie: Leaves,
    relevant: Sequence[IntArray] | IntArray,
    removed: Sequence[IntArray] | None = None,
) -> ItemRanks:
    """Counts better and tied items within the beam for each relevant item of each user or query.

    Args:
        beams: from `beam_search`.
        trie: the same.
        relevant: per user its relevant items; the counts follow one another in this order.
        removed: per user the items taken out of the ranking; null keeps all.
    """
    sizes = np.diff(trie.leaf_start)
    better, tied = [], []
    for user, targets in enumerate(relevant):
        filled = beams.leaves[user] >= 0
        leaves, scores = beams.leaves[user][filled], beams.scores[user][filled]
        counts = sizes[leaves]
        if removed is not None:
            gone = np.setdiff1d(removed[user], targets)
            counts = counts - (leaves[:, None] == trie.leaf_of[gone][None]).sum(axis=1)
        levels, place_of = np.unique(-scores, return_inverse=True)  # best first
        held = np.bincount(place_of, weights=counts, minlength=len(levels)).astype(np.int64)
        above = np.cumsum(held) - held
        # Per target its place in the beam, if it has one.
        order = np.argsort(leaves)
        found = np.searchsorted(leaves[order], trie.leaf_of[targets])
        found = np.minimum(found, max(len(leaves) - 1, 0))
        place = order[found]
        inside = leaves[place] == trie.leaf_of[targets]
        level = place_of[place]
        better.append(np.where(inside, above[level], -1))
        tied.append(np.where(inside, held[level] - 1, -1))
    nothing = np.empty(0, dtype=np.int64)
    return ItemRanks(
        np.concatenate([nothing, *better]),
        np.concatenate([nothing, *tied]),
        (beams.leaves >= 0).sum(axis=1),
        beams.trie_mass,
    )
