"""References: popularity and first-order Markov, the floors that stand on every board.

Both rank all items, seen ones kept, from what is known when the target is predicted: for the
validation item the training interactions of all users, for the test item the validation items
too. Ties are counted, never broken.

Popularity: an item's score is its number of known interactions.

First-order Markov: with `last` the last known item of the user's history, items are ranked by how
often they followed `last` directly in any known history (never, for most), items equal in that by
popularity; equal in both is a tie.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gti.data.dataset import IntArray, Split


@dataclass(frozen=True)
class TargetCounts:
    """Where each user's target stands in a ranking of all items.

    Attributes:
        num_better: [num_users] int64, items with a higher score than the target.
        num_tied: [num_users] int64, other items with the target's score.
    """

    num_better: IntArray
    num_tied: IntArray


def popularity_counts(split: Split, num_items: int, part: str) -> TargetCounts:
    """Ranks every user's target of `part` by popularity.

    Args:
        split: the leave-one-out split.
        num_items: number of items in the dataset.
        part: "validation" or "test".

    Returns:
        Counts in the order of `split.users`.
    """
    popularity = _known_popularity(split, num_items, part)
    scores = popularity[split.targets(part)]
    ordered = np.sort(popularity)
    return _against(ordered, scores)


def markov_counts(split: Split, num_items: int, part: str) -> TargetCounts:
    """Ranks every user's target of `part` by first-order Markov, then by popularity.

    Args:
        split: the leave-one-out split.
        num_items: number of items in the dataset.
        part: "validation" or "test".

    Returns:
        Counts in the order of `split.users`. Memory is of the order of the interactions.
    """
    popularity = _known_popularity(split, num_items, part)
    by_popularity = _against(np.sort(popularity), popularity[split.targets(part)])
    starts, followers, times = _transitions(split, num_items, part)
    better = np.empty(len(split.users), dtype=np.int64)
    tied = np.empty(len(split.users), dtype=np.int64)
    targets = split.targets(part)
    for row, target in enumerate(targets):
        last = _last_known(split, row, part)
        span = slice(starts[last], starts[last + 1])
        items, counts = followers[span], times[span]
        level, score = popularity[items], popularity[target]
        own = counts[items == target]
        if own.size:
            equal = counts == own[0]
            better[row] = np.count_nonzero((counts > own[0]) | (equal & (level > score)))
            tied[row] = np.count_nonzero(equal & (level == score)) - 1
        else:
            # Of the items that popularity puts above or beside the target, those that followed
            # `last` already stand above it.
            above = by_popularity.num_better[row] - np.count_nonzero(level > score)
            better[row] = items.size + above
            tied[row] = by_popularity.num_tied[row] - np.count_nonzero(level == score)
    return TargetCounts(better, tied)


@dataclass(frozen=True)
class Reference:
    """A reference as boards list it."""

    count: Callable[[Split, int, str], TargetCounts]
    summary: str
    source: str


REFERENCES = {
    "popularity": Reference(
        popularity_counts, "items by number of known interactions", "the usual floor"
    ),
    "markov": Reference(
        markov_counts,
        "items by how often they followed the last one, then by popularity",
        "first-order transitions, a strong floor on these cuts",
    ),
}


def _against(ordered: IntArray, scores: IntArray) -> TargetCounts:
    """Counts of targets with `scores` among items whose scores are `ordered`, ascending."""
    upper = np.searchsorted(ordered, scores, side="right")
    lower = np.searchsorted(ordered, scores, side="left")
    return TargetCounts(len(ordered) - upper, upper - lower - 1)


def _known_popularity(split: Split, num_items: int, part: str) -> IntArray:
    """[num_items] known interactions per item when `part` is predicted."""
    known = [*split.train, split.validation] if part == "test" else list(split.train)
    return np.bincount(np.concatenate(known), minlength=num_items).astype(np.int64)


def _last_known(split: Split, row: int, part: str) -> int:
    """The item before the target of `part`."""
    return int(split.validation[row] if part == "test" else split.train[row][-1])


def _transitions(split: Split, num_items: int, part: str) -> tuple[IntArray, IntArray, IntArray]:
    """Counts of direct successions in the known histories, as compressed rows.

    Returns:
        starts: [num_items + 1], where each item's followers begin in the next two.
        followers: the items that followed it.
        times: how often each did.
    """
    histories = [split.history(row, part) for row in range(len(split.users))]
    before = np.concatenate([history[:-1] for history in histories])
    after = np.concatenate([history[1:] for history in histories])
    pairs, times = np.unique(before * num_items + after, return_counts=True)
    starts = np.searchsorted(pairs // max(num_items, 1), np.arange(num_items + 1))
    return starts.astype(np.int64), pairs % num_items, times.astype(np.int64)
