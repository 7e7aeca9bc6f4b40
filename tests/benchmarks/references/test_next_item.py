"""Tests of the references against a slow ranking that scores every item for every user."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.references.next_item import REFERENCES, markov_counts, popularity_counts
from gti.data.dataset import HELD_OUT, Dataset, Provenance, Split, leave_one_out

NUM_ITEMS = 6


def split_of(histories: list[list[int]]) -> Split:
    dataset = Dataset(
        name="test",
        item_ids=tuple(map(str, range(NUM_ITEMS))),
        texts=({},) * NUM_ITEMS,
        user_ids=tuple(map(str, range(len(histories)))),
        histories=tuple(np.array(history, dtype=np.int64) for history in histories),
        tied_last=None,
        provenance=Provenance("a test", "none", {}),
    )
    return leave_one_out(dataset)


def slow_counts(histories: list[list[int]], part: str, markov: bool) -> list[tuple[int, int]]:
    """(num_better, num_tied) per user, from pairs (followed the last item, popularity)."""
    cut = -1 if part == "test" else -2
    known = [history[:cut] for history in histories if len(history) >= 3]
    targets = [history[cut] for history in histories if len(history) >= 3]
    flat = [item for history in known for item in history]
    steps = [pair for history in known for pair in pairwise(history)]
    rows = []
    for history, target in zip(known, targets, strict=True):
        follows = [steps.count((history[-1], i)) if markov else 0 for i in range(NUM_ITEMS)]
        scores = [(follows[i], flat.count(i)) for i in range(NUM_ITEMS)]
        better = sum(score > scores[target] for score in scores)
        rows.append((better, scores.count(scores[target]) - 1))
    return rows


@pytest.mark.parametrize("part", HELD_OUT)
@pytest.mark.parametrize("reference", ["popularity", "markov"])
@settings(deadline=None, max_examples=60)
@given(
    histories=st.lists(
        st.lists(st.integers(0, NUM_ITEMS - 1), min_size=3, max_size=9), min_size=1, max_size=6
    )
)
def test_counts_are_those_of_the_slow_ranking(
    reference: str, part: str, histories: list[list[int]]
) -> None:
    counts = REFERENCES[reference].count(split_of(histories), NUM_ITEMS, part)
    found = list(zip(counts.num_better.tolist(), counts.num_tied.tolist(), strict=True))
    assert found == slow_counts(histories, part, reference == "markov")


def test_users_with_too_few_interactions_count_neither_as_rows_nor_as_popularity() -> None:
    long, short = [[0, 1, 2], [1, 2, 3]], [[3, 3], [4]]
    alone = popularity_counts(split_of(long), NUM_ITEMS, "test")
    beside = popularity_counts(split_of(long + short), NUM_ITEMS, "test")
    assert beside.num_better.tolist() == alone.num_better.tolist()
    assert beside.num_tied.tolist() == alone.num_tied.tolist()


def test_the_target_itself_is_never_known() -> None:
    # Item 5 only ever stands as the test target, so at test time nothing speaks for it.
    counts = markov_counts(split_of([[0, 1, 5], [0, 1, 5]]), NUM_ITEMS, "test")
    assert counts.num_better.tolist() == [2, 2]
    assert counts.num_tied.tolist() == [3, 3]
