"""The order of examples against orders drawn by hand."""

import numpy as np

from gti.model.flops import ModelShape
from gti.prompts.prompter import Example
from gti.train.order import epochs, take_budget


def example(length: int) -> Example:
    return Example(np.arange(length), np.arange(1, length), "any")


def test_epochs_are_whole_passes():
    stream = epochs(7, 3, np.random.default_rng(0))
    first = np.concatenate([next(stream) for _ in range(3)])
    second = np.concatenate([next(stream) for _ in range(3)])
    assert sorted(first) == sorted(second) == list(range(7))
    assert first.tolist() != second.tolist()


def test_without_blocks_an_epoch_is_one_permutation():
    order = np.random.default_rng(4).permutation(10)
    for blocks in (None, [None] * 10):
        stream = epochs(10, 4, np.random.default_rng(4), blocks)
        assert [next(stream).tolist() for _ in range(3)] == [
            order[:4].tolist(),
            order[4:8].tolist(),
            order[8:].tolist(),
        ]


def test_blocks_are_drawn_whole_and_what_has_none_stands_alone():
    blocks = [7, 7, 7, None, 0, 0, None]
    stream = epochs(7, 2, np.random.default_rng(0), blocks)
    seen = set()
    for _ in range(20):
        batches = [next(stream).tolist() for _ in range(4)]
        assert [len(batch) for batch in batches] == [2, 2, 2, 1]
        order = "".join(str(index) for batch in batches for index in batch)
        assert sorted(order) == list("0123456")
        assert "012" in order
        assert "45" in order
        seen.add(order)
    assert len(seen) > 10


def test_skipped_batches_are_those_that_something_else_has_had():
    examples = [example(length) for length in range(2, 15)]
    shape = ModelShape(body=100, matrix_rows=0, width=1, layers=0, attention_width=0)
    stream = epochs(13, 4, np.random.default_rng(3))
    expected = [[len(examples[i].ids) for i in next(stream)] for _ in range(9)]
    budget = shape.flops([n for batch in expected[5:8] for n in batch]) + 1.0
    found = take_budget(examples, 4, np.random.default_rng(3), shape, "all", budget, skip=5)
    lengths = [[len(e.ids) for e in batch] for batch in found]
    assert lengths == [*expected[5:8], expected[8][:1]]
    assert take_budget(examples, 4, np.random.default_rng(3), shape, "all", 0.0, skip=5) == []
