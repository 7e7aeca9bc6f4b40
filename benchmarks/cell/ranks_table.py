"""Puts counts of better and tied items and targets' NLL, made elsewhere, into a ranks table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs.inputs import ReadData
from gti.data.dataset import IntArray, Split
from gti.data.queries import QuerySet
from leaderboard.records.ranks import LOSSES, PEERS, Ranks

if TYPE_CHECKING:  # it loads torch, which tables of references do without
    from gti.search.likelihood import TargetNll


def as_ranks(
    inputs: ReadData,
    rows: IntArray,
    part: str,
    num_better: IntArray,
    num_tied: IntArray,
    wording: int = 0,
    losses: "TargetNll | None" = None,
    peers: Sequence[IntArray] | None = None,
) -> Ranks:
    """The ranks table of users `rows` of the split; −1 in both counts: outside the beam.

    On the retrieval track `rows` are queries, and the counts those of all their relevant items.
    `losses`: NLL of the same targets in the same order; `peers`: how many each has, how many of
    them are better and tied; null where none was measured.
    """
    counts = _counts(num_better, num_tied, losses, peers)
    if inputs.queries is not None:
        return _query_ranks(inputs, inputs.queries, rows, part, counts, wording)
    dataset, split = inputs.dataset, inputs.split
    targets = split.targets(part)[rows]
    users = split.users[rows]
    count = len(rows)
    return Ranks(
        split=np.full(count, part),
        user=np.array([dataset.user_ids[user] for user in users]),
        wording=np.full(count, wording, np.int16),
        item=np.array([dataset.item_ids[item] for item in targets]),
        grade=np.ones(count, np.int8),
        target_popularity=inputs.popularity[targets].astype(np.int32),
        history_length=np.array([len(split.history(int(row), part)) for row in rows]),
        transitions=seen_transitions(split, dataset.num_items, rows, part),
        **counts,
    )


def seen_transitions(split: Split, num_items: int, rows: IntArray, part: str) -> NDArray[np.int32]:
    """[rows] how often training histories go from the user's last item straight to the target.

    Args:
        split: the leave-one-out split; training histories alone are counted.
        num_items: number of items in the dataset.
        rows: users of the split.
        part: "validation" or "test".
    """
    before = np.concatenate([history[:-1] for history in split.train])
    after = np.concatenate([history[1:] for history in split.train])
    pairs, times = np.unique(before * num_items + after, return_counts=True)
    last = np.array([split.history(int(row), part)[-1] for row in rows], dtype=np.int64)
    asked = last * num_items + split.targets(part)[rows]
    places = np.searchsorted(pairs, asked)
    # One more than there are, so that a pair behind the last one finds something to differ from.
    known = np.append(pairs, -1)[places] == asked
    return np.where(known, np.append(times, 0)[places], 0).astype(np.int32)


def _counts(
    num_better: IntArray,
    num_tied: IntArray,
    losses: "TargetNll | None",
    peers: Sequence[IntArray] | None,
) -> dict[str, Any]:
    """Columns of what a model or reference makes of the targets."""
    in_beam = num_better >= 0
    return {
        "in_beam": in_beam,
        "num_better": np.where(in_beam, num_better, 0),
        "num_tied": np.where(in_beam, num_tied, 0),
        **({} if losses is None else {name: getattr(losses, name) for name in LOSSES}),
        **({} if peers is None else dict(zip(PEERS, peers, strict=True))),
    }


def _query_ranks(
    inputs: ReadData,
    queries: QuerySet,
    rows: IntArray,
    part: str,
    counts: dict[str, Any],
    wording: int,
) -> Ranks:
    """One row per query of `rows` and relevant item, good ones first."""
    asked = [queries.of(part)[row] for row in rows]
    targets = np.concatenate([query.relevant for query in asked])
    count = len(targets)
    names = np.array([query.key for query in asked])
    return Ranks(
        split=np.full(count, part),
        user=np.repeat(names, [len(query.relevant) for query in asked]),
        wording=np.full(count, wording, np.int16),
        item=np.array(inputs.dataset.item_ids)[targets],
        grade=np.concatenate([query.grades for query in asked]).astype(np.int8),
        target_popularity=inputs.popularity[targets].astype(np.int32),
        history_length=np.zeros(count, np.int32),
        **counts,
    )
