"""In which order examples come: passes in whole blocks, cut into the batches of optimiser steps."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from gti.model.flops import ModelShape, Trains
from gti.prompts.prompter import Example
from gti.train.example_flops import nominal_flops


def epochs(
    count: int,
    batch_size: int,
    generator: np.random.Generator,
    blocks: Sequence[int | None] | None = None,
) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """Endless batches of indices below `count`: a fresh permutation per pass, last batch short.

    Args:
        count: how many there are.
        batch_size: indices per batch.
        generator: draws the permutations.
        blocks: [count] the block each belongs to; null stands alone. Whole blocks are permuted,
            what is in one keeps its order, and a batch's border may cut through it: batches have
            the size they would have without blocks.
    """
    members: dict[tuple[bool, int], list[int]] = {}
    for index, block in enumerate(blocks or [None] * count):
        members.setdefault((block is None, index if block is None else block), []).append(index)
    groups = [np.array(group, dtype=np.int64) for group in members.values()]
    while True:
        drawn = generator.permutation(len(groups))
        order = np.concatenate([groups[group] for group in drawn])
        for start in range(0, count, batch_size):
            yield order[start : start + batch_size]


def blocks_of(examples: Sequence[Example]) -> list[int | None]:
    """The block of each example, for `epochs`."""
    return [example.block for example in examples]


def take_budget(
    examples: Sequence[Example],
    batch_size: int,
    generator: np.random.Generator,
    shape: ModelShape,
    trains: Trains,
    budget: float,
    *,
    skip: int = 0,
) -> list[list[Example]]:
    """Batches in the stream's order until their nominal FLOPs reach `budget`.

    The last batch is cut so that the budget is met to within one example. The first `skip` batches
    of the stream are left out: something else has had them.
    """
    batches: list[list[Example]] = []
    spent = 0.0
    if not examples or budget <= 0:
        return batches
    stream = epochs(len(examples), batch_size, generator, blocks_of(examples))
    for indices in islice(stream, skip, None):
        batch: list[Example] = []
        for index in indices:
            if spent >= budget:
                break
            batch.append(examples[index])
            spent += nominal_flops(shape, [examples[index]], trains)
        if batch:
            batches.append(batch)
        if spent >= budget:
            return batches
    raise AssertionError("unreachable: epochs() does not end")
