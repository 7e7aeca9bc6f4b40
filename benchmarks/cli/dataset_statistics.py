"""Statistics of a dataset, as `gti-bench list datasets` prints them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.reading import TEXT_FIELDS
from benchmarks.references.next_item import REFERENCES, TargetCounts
from gti.data.dataset import Dataset, IntArray, leave_one_out
from leaderboard.metrics.metrics import mean, row_values
from leaderboard.records.ranks import Ranks

FLOOR_METRICS = ("recall@10", "ndcg@10")


@dataclass(frozen=True)
class DatasetStatistics:
    """What a dataset looks like.

    Attributes:
        name: the dataset's name.
        sha256: its content hash.
        users: users in the files.
        users_kept: users with enough interactions for leave-one-out.
        items: items in the files.
        items_seen: items that someone interacted with.
        items_without_text: items without any text field.
        interactions: interactions in the files, repeated pairs included.
        text_shares: canonical field → share of items that have it.
        tied_last_share: share of users (in the files) whose last two interactions have one
            timestamp; null without timestamps.
        floors: reference → metric → value on the test items of the users kept, all items ranked,
            seen ones kept, ties in expectation.
    """

    name: str
    sha256: str
    users: int
    users_kept: int
    items: int
    items_seen: int
    items_without_text: int
    interactions: int
    text_shares: dict[str, float]
    tied_last_share: float | None
    floors: dict[str, dict[str, float]]


def dataset_statistics(dataset: Dataset, min_interactions: int = 3) -> DatasetStatistics:
    """Computes the statistics.

    Args:
        dataset: the data.
        min_interactions: as for `gti.data.dataset.leave_one_out`.

    Raises:
        DataError: no user has enough interactions.
    """
    split = leave_one_out(dataset, min_interactions)
    targets = split.targets("test")
    ids = np.array([dataset.user_ids[user] for user in split.users])
    floors = {}
    for name, reference in REFERENCES.items():
        ranks = _as_ranks(reference.count(split, dataset.num_items, "test"), ids, targets)
        values = {metric: mean(row_values(ranks, metric)) for metric in FLOOR_METRICS}
        floors[name] = {metric: value for metric, value in values.items() if value is not None}
    tied = dataset.tied_last
    return DatasetStatistics(
        name=dataset.name,
        sha256=dataset.sha256,
        users=len(dataset.user_ids),
        users_kept=len(split.users),
        items=dataset.num_items,
        items_seen=len(np.unique(np.concatenate(dataset.histories))),
        items_without_text=sum(not text for text in dataset.texts),
        interactions=sum(len(history) for history in dataset.histories),
        text_shares={
            field: sum(field in text for text in dataset.texts) / dataset.num_items
            for field in TEXT_FIELDS
        },
        tied_last_share=None if tied is None else float(np.mean(tied)),
        floors=floors,
    )


def _as_ranks(counts: TargetCounts, users: NDArray[np.str_], targets: IntArray) -> Ranks:
    """The counts as a ranks table, so that metrics are computed in their one place."""
    number = len(users)
    return Ranks(
        split=np.full(number, "test"),
        user=users,
        wording=np.zeros(number, dtype=np.int16),
        item=targets.astype(str),
        grade=np.ones(number, dtype=np.int8),
        in_beam=np.ones(number, dtype=bool),
        num_better=counts.num_better.astype(np.int32),
        num_tied=counts.num_tied.astype(np.int32),
        target_popularity=np.zeros(number, dtype=np.int32),
        history_length=np.zeros(number, dtype=np.int32),
    )
