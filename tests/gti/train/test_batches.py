"""Padding, targets and micro-batches, by hand."""

import numpy as np
import torch

from gti.prompts.prompter import Example
from gti.train.batches import answer_states, collate, micro_batches


def example(length: int) -> Example:
    return Example(np.arange(length), np.arange(1, length), "any")


def test_micro_batches_hold_every_example_within_the_bound():
    lengths = [3, 50, 7, 7, 20, 21, 22, 90, 1]
    pieces = micro_batches([example(n) for n in lengths], 60)
    assert sorted(len(e.ids) for piece in pieces for e in piece) == sorted(lengths)
    for piece in pieces:
        assert len(piece) == 1 or len(piece) * max(len(e.ids) for e in piece) <= 60


def test_targets_are_predicted_by_the_state_before_them():
    long = Example(ids=np.array([3, 4, 5, 6]), targets=np.array([2, 3]), task="retrieval")
    short = Example(ids=np.array([7, 8]), targets=np.array([1]), task="retrieval")
    batch = collate([long, short], torch.device("cpu"))
    assert batch.ids.tolist() == [[3, 4, 5, 6], [7, 8, 0, 0]]
    assert batch.rows.tolist() == [0, 0, 1]
    assert batch.positions.tolist() == [1, 2, 0]
    assert batch.labels.tolist() == [5, 6, 8]
    assert batch.lengths == (4, 2)
    hidden = torch.arange(8.0).reshape(2, 4, 1)
    assert answer_states(hidden, batch).flatten().tolist() == [1.0, 2.0, 4.0]
