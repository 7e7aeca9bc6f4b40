"""The head in pieces at answer positions beside the plain head: forward and backward."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.perf.nano import NanoSetup
from benchmarks.perf.side_by_side import SideBySide
from gti.head import head_loss, plain_head_loss
from gti.training import Batch, answer_states, collate

NOT_A_TARGET = -100


def loss_at_all_positions(hidden: Tensor, matrix: Tensor, batch: Batch) -> Tensor:
    """Summed NLL from the logits of every position, padding included, as a plain trainer does."""
    labels = torch.full(hidden.shape[:2], NOT_A_TARGET)
    labels[batch.rows, batch.positions] = batch.labels
    logits = (hidden @ matrix.T).flatten(0, 1)
    return cross_entropy(logits, labels.flatten(), ignore_index=NOT_A_TARGET, reduction="sum")


@pytest.mark.parametrize("plain_positions", ["all", "answers"])
@pytest.mark.parametrize("stage", ["SFT windows", "grounding pairs"])
def test_pieces_give_the_loss_and_gradients_of_the_plain_head(
    nano: NanoSetup, side_by_side: SideBySide, benchmark: Any, stage: str, plain_positions: str
) -> None:
    """Same loss and gradients; target tokens per second and peak memory of both."""
    examples = nano.windows(16) if stage == "SFT windows" else nano.grounding_pairs[:64]
    batch = collate(examples, torch.device("cpu"))
    matrix = nano.fresh_model().get_input_embeddings().weight
    with torch.no_grad():
        hidden = nano.model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
    hidden = hidden.clone().requires_grad_(True)
    found: dict[str, list[Tensor]] = {}

    def note(way: str, loss: Tensor) -> None:
        hidden.grad = matrix.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        found[way] = [loss.detach(), hidden.grad, matrix.grad]

    def plain() -> None:
        if plain_positions == "all":
            note("plain", loss_at_all_positions(hidden, matrix, batch))
        else:
            states = answer_states(hidden, batch)
            note("plain", plain_head_loss(states, matrix, batch.labels))

    def fast() -> None:
        note("fast", head_loss(answer_states(hidden, batch), matrix, batch.labels))

    side_by_side.run(
        benchmark,
        f"head, {stage}: pieces against {plain_positions} at once",
        plain,
        fast,
        units=batch.num_targets,
        unit="targets",
        memory=True,
    )
    for ours, theirs in zip(found["fast"], found["plain"], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
