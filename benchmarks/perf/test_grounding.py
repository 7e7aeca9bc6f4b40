"""Grounding beside Algorithm 1 of GTI as written and beside PEFT: the same steps, their cost.

Algorithm 1 is what `gti-bench run --plain` runs. Where steps of full size would take minutes
(SmolLM2 on a CPU), two of 16 examples are taken instead of three of 64.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.perf.grown import Grown
from benchmarks.perf.side_by_side import SideBySide
from gti.model.compute import autocast
from gti.plain import plain_ground, plain_loss
from gti.prompts.prompter import Example
from gti.prompts.wordings import GROUNDING_TASKS
from gti.train.batches import collate
from gti.train.grounding import ground
from gti.train.training import StageReport, adamw, step_optimizer

SETTINGS = SimpleNamespace(
    learning_rate=1e-2,
    schedule="cosine",
    warmup_share=0.05,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    clip_norm=1.0,
)
LATER = 3
"""Passes over the same examples: from the second on, prefixes are there."""
WHOLE = 2**20
"""Tokens of a micro-batch: a batch is one piece in both ways."""


class Tokens:
    """PEFT's TrainableTokens on a copy of the model: the new rows, merged in every forward."""

    def __init__(self, grown: Grown) -> None:
        from peft import TrainableTokensConfig, get_peft_model

        config = TrainableTokensConfig(
            token_indices=grown.vocabulary.new_ids.tolist(), target_modules=["embed_tokens"]
        )
        self.grown = grown
        self.model = get_peft_model(grown.fresh_model(), config).eval()
        (self.rows,) = (p for p in self.model.parameters() if p.requires_grad)
        self.start = self.rows.detach().clone()

    def train(self, batches: list[list[Example]]) -> list[float]:
        """AdamW on the rows from the start, logits at every position; the loss of each step."""
        with torch.no_grad():
            self.rows.copy_(self.start)
        optimizer, losses = adamw([self.rows], SETTINGS), []
        for step, examples in enumerate(batches):
            batch = collate(examples, self.grown.device)
            with autocast(self.grown.device, self.grown.dtype):
                loss = plain_loss(self.model, batch) / batch.num_targets
            loss.backward()  # type: ignore[no-untyped-call]
            step_optimizer(optimizer, SETTINGS, step, len(batches))
            losses.append(float(loss.detach()))
        return losses


def batches_of(grown: Grown, direction: str, passes: int = 1) -> list[list[Example]]:
    """A few batches of one direction or of both, `passes` times."""
    tasks = [t for name, of in GROUNDING_TASKS.items() if direction in (name, "both") for t in of]
    examples = [example for example in grown.grounding_pairs if example.task in tasks]
    steps, size = (3, 64) if grown.small else (2, 16)
    return [examples[step * size : (step + 1) * size] for step in range(steps)] * passes


class Rows:
    """A copy of the model whose matrix is trained, each time from the same start.

    Attributes:
        start: [vocabulary, d] the matrix before.
        after: the matrix after the last time.
    """

    def __init__(self, grown: Grown) -> None:
        self.grown, self.model = grown, grown.fresh_model()
        self.matrix: Tensor = self.model.get_input_embeddings().weight
        self.start = self.matrix.detach().clone()
        self.after = self.start

    def train(self, way: Callable[..., StageReport], batches: list[list[Example]]) -> list[float]:
        """Trains with `gti.train.grounding.ground` or the like; returns the loss of each step."""
        with torch.no_grad():
            self.matrix.copy_(self.start)
        losses: list[float] = []
        way(
            self.model,
            self.grown.vocabulary,
            batches,
            SETTINGS,
            max_tokens=WHOLE,
            dtype=self.grown.dtype,
            progress=lambda step, steps, loss: losses.append(loss),
        )
        self.after = self.matrix.detach().clone()
        return losses


def compare(
    side_by_side: SideBySide,
    benchmark: Any,
    what: str,
    plain: Callable[[], object],
    fast: Callable[[], object],
    batches: list[list[Example]],
    grown: Grown,
) -> None:
    """Times both ways over `batches`."""
    side_by_side.run(
        benchmark,
        f"grounding, {what}{grown.suffix}",
        plain,
        fast,
        units=sum(map(len, batches)),
        unit="examples",
        rounds=3 if grown.small else 1,
    )


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
    grown: Grown,
    side_by_side: SideBySide,
    benchmark: Any,
    direction: str,
    passes: int,
    name: str,
) -> None:
    """Same losses and rows after each step; examples per second and peak memory of both."""
    batches = batches_of(grown, direction, passes)
    rows = Rows(grown)
    seen: dict[str, list[float]] = {}
    after: dict[str, Tensor] = {}

    def plain() -> None:
        seen["plain"] = rows.train(plain_ground, batches)
        after["plain"] = rows.after

    def fast() -> None:
        seen["fast"] = rows.train(ground, batches)
        after["fast"] = rows.after

    what = f"{name}: against Algorithm 1"
    compare(side_by_side, benchmark, what, plain, fast, batches, grown)
    np.testing.assert_allclose(seen["fast"], seen["plain"], **grown.close(1e-4))
    text = grown.vocabulary.text_ids
    assert torch.equal(after["fast"][text], rows.start[text])
    assert torch.equal(after["plain"][text], rows.start[text])
    # AdamW divides by the gradient's own size: rounding in a near-zero entry can turn its sign,
    # so a few entries part by up to the steps' lengths; all others agree. In bfloat16 many part.
    if grown.dtype == "float32":
        parted = (after["fast"] - after["plain"]).abs() > 1e-4 * len(batches)
        assert parted.float().mean() < 1e-3


def test_grounding_takes_the_steps_of_trainable_tokens(
    grown: Grown, side_by_side: SideBySide, benchmark: Any
) -> None:
    """Same losses, both directions together; examples per second and peak memory of both."""
    pytest.importorskip("peft")
    batches = batches_of(grown, "both")
    rows, tokens = Rows(grown), Tokens(grown)
    seen: dict[str, list[float]] = {}

    def plain() -> None:
        seen["plain"] = tokens.train(batches)

    def fast() -> None:
        seen["fast"] = rows.train(ground, batches)

    what = "text↔SID: against PEFT's TrainableTokens"
    compare(side_by_side, benchmark, what, plain, fast, batches, grown)
    np.testing.assert_allclose(seen["fast"], seen["plain"], **grown.close(1e-4))
