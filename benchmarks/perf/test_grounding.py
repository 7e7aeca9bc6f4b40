"""Grounding beside Algorithm 1 of GTI as written and beside PEFT: the same steps, their cost."""

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
STEPS = 3
LATER = 3
"""Passes over the same examples: from the second on, prefixes are there."""
NOT_A_TARGET = -100


def padded_labels(examples: list[Example], width: int) -> Tensor:
    """[examples, width] the next token where it belongs to the answer, else `NOT_A_TARGET`."""
    labels = np.full((len(examples), width), NOT_A_TARGET, dtype=np.int64)
    for row, example in enumerate(examples):
        labels[row, example.targets - 1] = example.ids[example.targets]
    return torch.from_numpy(labels)


def plain_steps(
    model: Any, matrix: Tensor, mask: Tensor | None, batches: list[list[Example]]
) -> list[float]:
    """AdamW over `matrix`, logits at every position; returns the loss per step.

    The gradient is masked where there is a `mask` (before clipping, without decay: the conditions
    under which own rows are equal to it).
    """
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
        assert matrix.grad is not None
        if mask is not None:
            matrix.grad.mul_(mask)
        torch.nn.utils.clip_grad_norm_([matrix], SETTINGS.clip_norm)
        optimizer.param_groups[0]["lr"] = SETTINGS.learning_rate * rate(
            SETTINGS, step, len(batches)
        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    return losses


def algorithm_1(model: Any, new_ids: Tensor, batches: list[list[Example]]) -> list[float]:
    """Algorithm 1 as written, changing `model`: the whole matrix is a parameter."""
    model.requires_grad_(False)
    matrix = model.get_input_embeddings().weight.requires_grad_(True)
    mask = torch.zeros(len(matrix), 1)
    mask[new_ids] = 1.0
    return plain_steps(model, matrix, mask, batches)


class Tokens:
    """PEFT's TrainableTokens on `model`: the new rows as a parameter, merged in every forward."""

    def __init__(self, model: Any, new_ids: Tensor) -> None:
        from peft import TrainableTokensConfig, get_peft_model

        config = TrainableTokensConfig(
            token_indices=new_ids.tolist(), target_modules=["embed_tokens"]
        )
        self.model = get_peft_model(model, config).eval()
        (self.rows,) = (p for p in self.model.parameters() if p.requires_grad)
        self.start = self.rows.detach().clone()

    def train(self, batches: list[list[Example]]) -> list[float]:
        """Trains from the start; returns the loss per step."""
        with torch.no_grad():
            self.rows.copy_(self.start)
        return plain_steps(self.model, self.rows, None, batches)


def batches_of(nano: NanoSetup, direction: str, passes: int = 1) -> list[list[Example]]:
    """`STEPS` batches of one direction or of both, `passes` times."""
    tasks = [t for name, of in GROUNDING_TASKS.items() if direction in (name, "both") for t in of]
    examples = [example for example in nano.grounding_pairs if example.task in tasks]
    size = SETTINGS.batch_size
    return [examples[step * size : (step + 1) * size] for step in range(STEPS)] * passes


def ours(nano: NanoSetup, model: Any, batches: list[list[Example]]) -> list[float]:
    """This project's grounding, changing `model`; returns the loss per step."""
    losses: list[float] = []
    ground(
        model,
        nano.vocabulary,
        batches,
        SETTINGS,
        max_tokens=2**20,  # one piece per batch, as the plain way has it
        progress=lambda step, steps, loss: losses.append(loss),
    )
    return losses


@pytest.mark.parametrize(
    ("direction", "passes", "name"),
    [
        ("text_to_sid", 1, "text→SID, first pass"),
        ("text_to_sid", LATER, f"text→SID, {LATER} passes"),
        ("sid_to_text", 1, "SID→text"),
        ("both", 1, "text↔SID"),
    ],
)
def test_grounding_takes_the_steps_of_algorithm_1(
    nano: NanoSetup,
    side_by_side: SideBySide,
    benchmark: Any,
    direction: str,
    passes: int,
    name: str,
) -> None:
    """Same losses and rows after each step; examples per second and peak memory of both."""
    batches = batches_of(nano, direction, passes)
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
        seen["fast"] = ours(nano, model, batches)
        rows["fast"] = matrix.detach().clone()

    side_by_side.run(
        benchmark,
        f"grounding, {name}: against Algorithm 1",
        plain,
        fast,
        units=len(batches) * SETTINGS.batch_size,
        unit="examples",
        memory=True,
    )
    np.testing.assert_allclose(seen["fast"], seen["plain"], rtol=1e-4)
    text = nano.vocabulary.text_ids
    assert torch.equal(rows["fast"][text], start[text])
    # AdamW divides by the gradient's own size: rounding in a near-zero entry can turn its sign,
    # so a few entries part by up to the steps' lengths; all others agree.
    parted = (rows["fast"] - rows["plain"]).abs() > 1e-4 * len(batches)
    assert parted.float().mean() < 1e-3


def test_grounding_takes_the_steps_of_trainable_tokens(
    nano: NanoSetup, side_by_side: SideBySide, benchmark: Any
) -> None:
    """Same losses, both directions together; examples per second and peak memory of both."""
    pytest.importorskip("peft")
    batches = batches_of(nano, "both")
    model = nano.fresh_model()
    matrix = model.get_input_embeddings().weight
    start = matrix.detach().clone()
    tokens = Tokens(nano.fresh_model(), nano.vocabulary.new_ids)
    seen: dict[str, list[float]] = {}

    def plain() -> None:
        seen["plain"] = tokens.train(batches)

    def fast() -> None:
        with torch.no_grad():
            matrix.copy_(start)
        seen["fast"] = ours(nano, model, batches)

    side_by_side.run(
        benchmark,
        "grounding, text↔SID: against PEFT's TrainableTokens",
        plain,
        fast,
        units=STEPS * SETTINGS.batch_size,
        unit="examples",
        memory=True,
    )
    np.testing.assert_allclose(seen["fast"], seen["plain"], rtol=1e-4)
