"""The two budgets against counts by hand."""

import numpy as np
import pytest

from benchmarks.cell.budget import extra_budget, flops_of, sft_passes
from gti.model.flops import ModelShape
from gti.prompts.prompter import Example
from leaderboard.records.specs import ExtraSpec, SftSpec

SHAPE = ModelShape(body=1000, matrix_rows=50, width=8, layers=2, attention_width=8)


def example(length: int) -> Example:
    return Example(np.zeros(length, np.int64), np.array([length - 1]), "title_to_sid")


def sft(**budget: float) -> SftSpec:
    return SftSpec(
        rates="shared",
        learning_rate=1e-3,
        batch_size=4,
        schedule="constant",
        warmup_share=0.0,
        weight_decay=0.0,
        betas=(0.9, 0.99),
        **budget,
    )


def test_steps_are_the_passes_that_make_as_many_batches() -> None:
    assert sft_passes(sft(passes=1.5), 10) == 1.5
    # Ten examples make three batches of four, so six steps are two passes.
    assert sft_passes(sft(steps=6), 10) == 2.0
    assert round(sft_passes(sft(steps=7), 10) * 3) == 7


def test_a_share_is_of_the_flops_of_r() -> None:
    found = extra_budget(ExtraSpec(share_of_sft=0.25), 8e9, SHAPE, [], 16)
    assert (found.flops, found.frozen_share) == (2e9, None)


def test_published_lengths_cost_what_the_pairs_cost() -> None:
    pairs = [example(5), example(9)]
    # Two thirds of the body's work (no weight gradients), all of attention and head.
    rows = sum(4 * 1000 * n + 3 * (2 * 2 * 8 * n * (n + 1) + 2 * 50 * 8 * n) for n in (5, 9))
    everything = rows + 2 * 1000 * 14
    assert flops_of(SHAPE, [pairs], "rows") == rows
    passes = extra_budget(ExtraSpec(grounding_passes=10.0), 1.0, SHAPE, pairs, 2)
    assert passes.flops == pytest.approx(10 * rows)
    steps = extra_budget(ExtraSpec(grounding_steps=8, free_steps=3), 1.0, SHAPE, pairs, 1)
    # A step of one pair costs half of a pass of two.
    assert steps.flops == pytest.approx(4 * rows + 1.5 * everything)
    assert steps.frozen_share == pytest.approx(4 * rows / (4 * rows + 1.5 * everything))
