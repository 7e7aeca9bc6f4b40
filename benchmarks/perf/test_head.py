"""The head in pieces at answer positions beside the plain head: forward and backward."""

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.perf.grown import Grown
from benchmarks.perf.side_by_side import SideBySide
from gti.model.compute import autocast
from gti.model.head import head_loss
from gti.plain import labels_at_all_positions, plain_head_loss
from gti.train.batches import answer_states, collate


@pytest.mark.parametrize("plain_positions", ["all", "answers"])
@pytest.mark.parametrize("stage", ["SFT windows", "grounding pairs"])
def test_pieces_give_the_loss_and_gradients_of_the_plain_head(
    grown: Grown, side_by_side: SideBySide, benchmark: Any, stage: str, plain_positions: str
) -> None:
    """Same loss and gradients; target tokens per second and peak memory of both."""
    examples = grown.windows(16) if stage == "SFT windows" else grown.grounding_pairs[:64]
    batch = collate(examples, grown.device)
    matrix = grown.fresh_model().get_input_embeddings().weight
    with torch.no_grad(), autocast(grown.device, grown.dtype):
        hidden = grown.model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
    hidden = hidden.clone().requires_grad_(True)
    found: dict[str, list[Tensor]] = {}

    def note(way: str, loss: Tensor) -> None:
        hidden.grad = matrix.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        found[way] = [loss.detach(), hidden.grad, matrix.grad]

    def plain() -> None:
        with autocast(grown.device, grown.dtype):
            if plain_positions == "all":
                loss = plain_head_loss(hidden, matrix, labels_at_all_positions(batch))
            else:
                loss = plain_head_loss(answer_states(hidden, batch), matrix, batch.labels)
        note("plain", loss)

    def fast() -> None:
        with autocast(grown.device, grown.dtype):
            loss = head_loss(answer_states(hidden, batch), matrix, batch.labels)
        note("fast", loss)

    side_by_side.run(
        benchmark,
        f"head, {stage}: pieces against {plain_positions} at once{grown.suffix}",
        plain,
        fast,
        units=batch.num_targets,
        unit="targets",
    )
    for ours, theirs in zip(found["fast"], found["plain"], strict=True):
        close, scale = grown.close(1e-4, 1e-5), float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=close["rtol"], atol=close["atol"] * scale)
