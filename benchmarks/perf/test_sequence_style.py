"""Histories as sequences, every item a target, beside one prompt per target: the same gradient."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.perf.grown import WINDOW, Grown
from benchmarks.perf.side_by_side import SideBySide
from gti.model.compute import autocast
from gti.model.head import head_loss
from gti.prompts.prompter import Example
from gti.train.batches import answer_states, collate, micro_batches
from gti.train.training import hidden_states

SEQUENCES = 2
MAX_TOKENS = 4096


def one_prompt_per_target(sequences: list[Example], levels: int) -> list[Example]:
    """Each item of each sequence as an example of its own, after all that stands before it."""
    return [
        Example(sequence.ids[: places[-1] + 1], places, sequence.task)
        for sequence in sequences
        for places in sequence.targets.reshape(-1, levels)
    ]


def test_sequences_give_the_gradient_of_one_prompt_per_target(
    grown: Grown, side_by_side: SideBySide, benchmark: Any
) -> None:
    """Same loss and gradient of every weight; targets per second and peak memory of both."""
    sequences = grown.windows(SEQUENCES)
    prompts = one_prompt_per_target(sequences, grown.semantic_ids.num_levels)
    assert len(prompts) == SEQUENCES * WINDOW
    model = grown.fresh_model().requires_grad_(True).train()
    matrix = model.get_input_embeddings().weight
    found: dict[str, tuple[float, list[Tensor]]] = {}

    def train(way: str, examples: list[Example]) -> None:
        model.zero_grad(set_to_none=True)
        total = 0.0
        for piece in micro_batches(examples, MAX_TOKENS):
            batch = collate(piece, matrix.device)
            with autocast(grown.device, grown.dtype):
                hidden = hidden_states(model, input_ids=batch.ids)
                loss = head_loss(answer_states(hidden, batch), matrix, batch.labels)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        found[way] = total, [weight.grad for weight in model.parameters()]

    side_by_side.run(
        benchmark,
        f"SFT, sequences against one prompt per target{grown.suffix}",
        lambda: train("plain", prompts),
        lambda: train("fast", sequences),
        units=len(prompts),
        unit="target items",
        rounds=2,
    )
    np.testing.assert_allclose(found["fast"][0], found["plain"][0], **grown.close(1e-5))
    for ours, theirs in zip(found["fast"][1], found["plain"][1], strict=True):
        scale = float(theirs.abs().max())
        close = grown.close(1e-3, 1e-4)
        torch.testing.assert_close(ours, theirs, rtol=close["rtol"], atol=close["atol"] * scale)
