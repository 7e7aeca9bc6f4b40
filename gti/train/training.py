"""What grounding and fine-tuning share: errors, settings, report, schedule, optimiser."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from gti.model.flops import ModelShape, Trains
from gti.prompts.prompter import Example
from gti.train.example_flops import nominal_flops

Progress = Callable[[int, int, float], None]
"""Called after each step with (steps done, steps in all, loss of the step)."""


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says at which step and what to change."""


class DivergedError(TrainingError):
    """Training whose loss or gradient is no longer a finite number."""


class OptimizerSettings(Protocol):
    """AdamW's settings, as the setting's `[sft]` and `[grounding]` tables hold them."""

    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def batch_size(self) -> int: ...  # noqa: D102
    @property
    def schedule(self) -> Literal["cosine", "linear", "constant"]: ...  # noqa: D102
    @property
    def warmup_share(self) -> float: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102
    @property
    def betas(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def clip_norm(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class AdamWSettings:
    """`OptimizerSettings` as plain values, for use without the benchmark's setting files."""

    learning_rate: float
    batch_size: int = 64
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_share: float = 0.05
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float | None = 1.0


@dataclass
class StageReport:
    """What a training stage did, for the record.

    `smallest_micro_batch`: padded tokens after memory ran out. `gave_up_prefixes`: constants behind
    prompts' beginnings were no longer kept, for the same reason. `unshared`: why no beginnings were
    shared. `uncopied`: why bfloat16 was computed under autocast, with no copy of the weights.
    """

    steps: int = 0
    tokens: int = 0
    nominal_flops: float = 0.0
    actual_flops: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    new_rows_with_gradient: int = 0
    text_rows_with_gradient: int = 0
    trainable_parameters: int = 0
    smallest_micro_batch: int | None = None
    gave_up_prefixes: bool = False
    unshared: str | None = None
    uncopied: str | None = None

    def note_step(
        self,
        loss: float,
        examples: Sequence[Example],
        shape: ModelShape,
        trains: Trains,
        shared: Sequence[int] = (),
        spent: float | None = None,
    ) -> None:
        """Counts a step over `examples`; keeps the first loss and a running one (factor 0.9).

        `shared`: lengths of the beginnings that were not computed, as another example had them.
        `spent`: FLOPs really spent, where they do not follow from the lengths.
        """
        lengths = [len(example.ids) for example in examples]
        targets = sum(example.num_targets for example in examples)
        self.steps += 1
        self.tokens += sum(lengths)
        self.nominal_flops += nominal_flops(shape, examples, trains)
        if spent is None:
            spent = shape.spent_flops(lengths, targets, trains)
            spent -= shape.spent_flops(shared, 0, trains)
        self.actual_flops += spent
        if self.first_loss is None or self.last_loss is None:
            self.first_loss = self.last_loss = loss
        else:
            self.last_loss = 0.9 * self.last_loss + 0.1 * loss


def rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """The learning rate's factor in [0, 1] at `step` (from 0) of `steps`."""
    warmup = math.ceil(settings.warmup_share * steps)
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    return 1.0 - done if settings.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


def adamw(
    parameters: Sequence[torch.nn.Parameter], settings: OptimizerSettings
) -> torch.optim.AdamW:
    """AdamW over `parameters`; norms and biases (one-dimensional) do not decay."""
    groups = [
        {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,
    )


def check_finite(value: float, what: str, settings: OptimizerSettings, step: int) -> None:
    """Stops training at the first `value` that is no finite number, before it reaches weights.

    Raises:
        DivergedError: names `what`, the step (counted from 1) and the rate.
    """
    if not math.isfinite(value):
        raise DivergedError(
            f"training diverged: {what} is {value} at step {step + 1} with learning rate"
            f" {settings.learning_rate:g}; lower it"
        )


CLIP_EPSILON = 1e-6
"""Torch's, in the factor that clips."""


def step_optimizer(
    optimizer: torch.optim.Optimizer, settings: OptimizerSettings, step: int, steps: int
) -> None:
    """Clips, sets the rate of `step`, and steps; gradients are then gone.

    Raises:
        DivergedError: the gradients to clip are not finite.
    """
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * rate(settings, step, steps)
    if settings.clip_norm is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        check_finite(float(norm), "the gradient's norm", settings, step)
        # Shorter gradients would be multiplied by 1, a twentieth of a step of a small batch.
        if settings.clip_norm / (norm + CLIP_EPSILON) < 1:
            torch.nn.utils.clip_grads_with_norm_(parameters, settings.clip_norm, norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def hidden_states(model: Any, **inputs: Any) -> Tensor:
    """[examples, longest, d] last hidden states, after the final norm, before the head."""
    output = model.base_model(use_cache=False, **inputs)
    hidden: Tensor = output.last_hidden_state
    return hidden
