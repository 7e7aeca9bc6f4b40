"""Own rows in grounding beside Algorithm 1 of GTI as written: the same steps, what they cost."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.perf.nano import NanoSetup
from benchmarks.perf.side_by_side import SideBySide
from gti.grounding import ground
from gti.prompts import Example
from gti.training import collate, rate
from gti.wordings import GROUNDING_TASKS

SETTINGS = SimpleNamespace(
    learning_rate=1e-2,
    batch_size=64,
    schedule="cosine",
    warmup_share=0.05,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    clip_norm=1.0,
)
STEPS = 2
NOT_A_TARGET = -100


def padded_labels(examples: list[Example], width: int) -> Tensor:
    """[examples, width] the next token where it belongs to the answer, else `NOT_A_TARGET`."""
    labels = np.full((len(examples), width), NOT_A_TARGET, dtype=np.int64)
    for row, example in enumerate(examples):
        labels[row, example.targets - 1] = example.ids[example.targets]
    return torch.from_numpy(labels)


def algorithm_1(model: Any, new_ids: Tensor, batches: list[list[Example]]) -> list[float]:
    """Algorithm 1 as written, changing `model`; returns the loss per step.

    The whole matrix is a parameter, logits are made at every position, the gradient is masked
    (before clipping, without decay: the conditions under which own rows are equal to it).
    """
    model.requires_grad_(False)
    matrix = model.get_input_embeddings().weight.requires_grad_(True)
    mask = torch.zeros(len(matrix), 1)
    mask[new_ids] = 1.0
    optimizer = torch.optim.AdamW(
        [matrix], lr=SETTINGS.learning_rate, betas=SETTINGS.betas, weight_decay=0.0, fused=True
    )
    losses = []
    for step, examples in enumerate(batches):
        ids = collate(examples, matrix.device).ids
        logits = model(input_ids=ids, use_cache=False).logits
        labels = padded_labels(examples, ids.shape[1])
        loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=NOT_A_TARGET)
        loss.backward()  # type: ignore[no-untyped-call]
        matrix.grad.mul_(mask)
        torch.nn.utils.clip_grad_norm_([matrix], SETTINGS.clip_norm)
        optimizer.param_groups[0]["lr"] = SETTINGS.learning_rate * rate(
            SETTINGS, step, len(batches)
        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("direction", ["text_to_sid", "sid_to_text", "both"])
def test_own_rows_take_the_steps_of_algorithm_1(
    nano: NanoSetup, side_by_side: SideBySide, benchmark: Any, direction: str
) -> None:
    """Same losses and rows after `STEPS` steps; examples per second and peak memory of both."""
    tasks = [t for name, of in GROUNDING_TASKS.items() if direction in (name, "both") for t in of]
    examples = [example for example in nano.grounding_pairs if example.task in tasks]
    size = SETTINGS.batch_size
    batches = [examples[step * size : (step + 1) * size] for step in range(STEPS)]
    start = nano.model.get_input_embeddings().weight.detach().clone()
    model = nano.fresh_model()
    matrix = model.get_input_embeddings().weight
    seen: dict[str, list[float]] = {}
    rows: dict[str, Tensor] = {}

    def from_the_start() -> None:
        with torch.no_grad():
            matrix.copy_(start)

    def plain() -> None:
        from_the_start()
        seen["plain"] = algorithm_1(model, nano.vocabulary.new_ids, batches)
        rows["plain"] = matrix.detach().clone()

    def fast() -> None:
        from_the_start()
        losses: list[float] = []
        ground(
            model,
            nano.vocabulary,
            batches,
            SETTINGS,
            max_tokens=2**20,  # one piece per batch, as the plain way has it
            progress=lambda step, steps, loss: losses.append(loss),
        )
        seen["fast"] = losses
        rows["fast"] = matrix.detach().clone()

    name = {"both": "text↔SID"}.get(direction, direction.replace("_to_sid", "→SID"))
    side_by_side.run(
        benchmark,
        f"grounding, {name.replace('sid_to_', 'SID→')}: own rows",
        plain,
        fast,
        units=STEPS * size,
        unit="examples",
        memory=True,
    )
    np.testing.assert_allclose(seen["fast"], seen["plain"], rtol=1e-5)
    text = nano.vocabulary.text_ids
    assert torch.equal(rows["fast"][text], start[text])
    # AdamW divides by the gradient's own size: rounding in a near-zero entry can turn its sign,
    # so a few entries part by up to the steps' lengths; all others agree.
    parted = (rows["fast"] - rows["plain"]).abs() > 1e-4
    assert parted.float().mean() < 1e-3
