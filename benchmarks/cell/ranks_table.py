"""Puts counts of better and tied items, made elsewhere, into a record's ranks table."""

import numpy as np

from benchmarks.inputs.inputs import ReadData
from gti.data.dataset import IntArray
from gti.data.queries import QuerySet
from leaderboard.records.ranks import Ranks


def as_ranks(
    inputs: ReadData,
    rows: IntArray,
    part: str,
    num_better: IntArray,
    num_tied: IntArray,
    wording: int = 0,
) -> Ranks:
    """The ranks table of users `rows` of the split; −1 in both counts: outside the beam.

    On the retrieval track `rows` are queries, and the counts those of all their relevant items.
    """
    if inputs.queries is not None:
        return _query_ranks(inputs, inputs.queries, rows, part, num_better, num_tied, wording)
    dataset, split = inputs.dataset, inputs.split
    targets = split.targets(part)[rows]
    users = split.users[rows]
    count = len(rows)
    in_beam = num_better >= 0
    return Ranks(
        split=np.full(count, part),
        user=np.array([dataset.user_ids[user] for user in users]),
        wording=np.full(count, wording, np.int16),
        item=np.array([dataset.item_ids[item] for item in targets]),
        grade=np.ones(count, np.int8),
        in_beam=in_beam,
        num_better=np.where(in_beam, num_better, 0),
        num_tied=np.where(in_beam, num_tied, 0),
        target_popularity=inputs.popularity[targets].astype(np.int32),
        history_length=np.array([len(split.history(int(row), part)) for row in rows]),
    )


def _query_ranks(
    inputs: ReadData,
    queries: QuerySet,
    rows: IntArray,
    part: str,
    num_better: IntArray,
    num_tied: IntArray,
    wording: int,
) -> Ranks:
    """One row per query of `rows` and relevant item, good ones first."""
    asked = [queries.of(part)[row] for row in rows]
    targets = np.concatenate([query.relevant for query in asked])
    count = len(targets)
    in_beam = num_better >= 0
    names = np.array([query.key for query in asked])
    return Ranks(
        split=np.full(count, part),
        user=np.repeat(names, [len(query.relevant) for query in asked]),
        wording=np.full(count, wording, np.int16),
        item=np.array(inputs.dataset.item_ids)[targets],
        grade=np.concatenate([query.grades for query in asked]).astype(np.int8),
        in_beam=in_beam,
        num_better=np.where(in_beam, num_better, 0),
        num_tied=np.where(in_beam, num_tied, 0),
        target_popularity=inputs.popularity[targets].astype(np.int32),
        history_length=np.zeros(count, np.int32),
    )
