"""What grounding and fine-tuning share: batches, answer-only loss, schedule, optimiser."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from gti.flops import ModelShape, Trains
from gti.prompts import Example

Progress = Callable[[int, int, float], None]
"""Called after each step with (steps done, steps in all, loss of the step)."""

SizedItem = TypeVar("SizedItem", bound=Sized)


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
    """The same as values, for use without the benchmark's setting files."""

    learning_rate: float
    batch_size: int = 64
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_share: float = 0.05
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float | None = 1.0


@dataclass
class StageReport:
    """What a training stage did, for the record; `unshared`: why no beginnings were shared."""

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
    unshared: str | None = None

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
        self.nominal_flops += shape.flops(lengths, trains)
        if spent is None:
            spent = shape.spent_flops(lengths, targets, trains)
            spent -= shape.spent_flops(shared, 0, trains)
        self.actual_flops += spent
        if self.first_loss is None or self.last_loss is None:
            self.first_loss = self.last_loss = loss
        else:
            self.last_loss = 0.9 * self.last_loss + 0.1 * loss


@dataclass(frozen=True)
class Batch:
    """Right-padded examples.

    With causal attention, padding on the right changes nothing before it, so no mask is needed.

    Attributes:
        ids: [examples, longest] int64, padded with 0.
        rows, positions: [targets] where the hidden state stands that predicts each target.
        labels: [targets] the target token ids.
        lengths: tokens per row, without padding.
        layout: `attention_mask` and `position_ids`, where rows hold several examples.
        shared: lengths of the beginnings that these examples have from another one of their row.
    """

    ids: Tensor
    rows: Tensor
    positions: Tensor
    labels: Tensor
    lengths: tuple[int, ...]
    layout: Mapping[str, Tensor] = field(default_factory=dict)
    shared: tuple[int, ...] = ()

    @property
    def num_targets(self) -> int:
        """Number of tokens the loss is on."""
        return int(self.labels.shape[0])


def collate(examples: Sequence[Example], device: torch.device) -> Batch:
    """Pads `examples` on the right and points at their targets."""
    lengths = tuple(len(example.ids) for example in examples)
    ids = np.zeros((len(examples), max(lengths)), dtype=np.int64)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
    rows = np.repeat(np.arange(len(examples)), [example.num_targets for example in examples])
    targets = np.concatenate([example.targets for example in examples])
    return Batch(
        ids=torch.from_numpy(ids).to(device),
        rows=torch.from_numpy(rows).to(device),
        positions=torch.from_numpy(targets - 1).to(device),
        labels=torch.from_numpy(ids[rows, targets]).to(device),
        lengths=lengths,
    )


def micro_batches(examples: Sequence[SizedItem], max_tokens: int) -> list[list[SizedItem]]:
    """Cuts one batch into pieces of similar length, at most `max_tokens` each with padding.

    The batch's loss and gradient are sums over its examples, so cutting changes float order alone.
    An example longer than `max_tokens` stands alone.
    """
    ordered = sorted(examples, key=lambda example: -len(example))
    pieces: list[list[SizedItem]] = []
    for example in ordered:
        if pieces and (len(pieces[-1]) + 1) * len(pieces[-1][0]) <= max_tokens:
            pieces[-1].append(example)
        else:
            pieces.append([example])
    return pieces


def plain_batches(
    examples: Sequence[Example], max_tokens: int, device: torch.device
) -> Iterator[Batch]:
    """Micro-batches of one example per row."""
    for piece in micro_batches(examples, max_tokens):
        yield collate(piece, device)


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
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        check_finite(float(norm), "the gradient's norm", settings, step)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[Any]:
    """Computes in bfloat16 around float32 weights where `dtype` is "bfloat16"."""
    if dtype == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def hidden_states(model: Any, **inputs: Any) -> Tensor:
    """[examples, longest, d] last hidden states, after the final norm, before the head."""
    output = model.base_model(use_cache=False, **inputs)
    hidden: Tensor = output.last_hidden_state
    return hidden


def answer_states(hidden: Tensor, batch: Batch) -> Tensor:
    """[targets, d] the hidden states that predict the answers; nothing else meets the head."""
    return hidden[batch.rows, batch.positions]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device (or this process) has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error).lower()


class MicroBatcher:
    """Runs a batch in pieces and halves the pieces when the device runs out of memory.

    Args:
        max_tokens: padded tokens a piece may hold; never below one example.
        device: where the pieces go.
        cut: makes the pieces of (examples, max_tokens, device).
    """

    def __init__(
        self,
        max_tokens: int,
        device: torch.device,
        cut: Callable[[Sequence[Example], int, torch.device], Iterator[Batch]] = plain_batches,
    ) -> None:
        self.max_tokens = max_tokens
        self.device = device
        self.cut = cut
        self.halved = False
        self.shared: list[int] = []
        """Lengths of the beginnings that the last batch did not compute twice."""

    def backward(
        self,
        parts: Sequence[tuple[Sequence[Example], float]],
        loss_of: Callable[[Batch], Tensor],
        reset: Callable[[], None],
    ) -> list[float]:
        """Accumulates the gradient of the sum over `parts` of weight × mean loss.

        Args:
            parts: (examples, weight); the mean is over the part's targets.
            loss_of: summed loss of one piece.
            reset: clears the gradients, for a second try with smaller pieces.

        Returns:
            The mean loss per part, unweighted.

        Raises:
            TrainingError: even one example does not fit.
        """
        while True:
            self.shared = []
            try:
                return [self._part(examples, weight, loss_of) for examples, weight in parts]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                longest = max(len(example.ids) for examples, _ in parts for example in examples)
                if self.max_tokens <= longest:
                    raise TrainingError(
                        f"out of memory on {self.device} with a micro-batch of one example"
                        f" ({longest} tokens): lower max_history, window or max_text_tokens, or"
                        " use a smaller backbone"
                    ) from error
                self.max_tokens = max(longest, self.max_tokens // 2)
                self.halved = True
                reset()
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _part(
        self, examples: Sequence[Example], weight: float, loss_of: Callable[[Batch], Tensor]
    ) -> float:
        targets = sum(example.num_targets for example in examples)
        total = 0.0
        for batch in self.cut(examples, self.max_tokens, self.device):
            loss = loss_of(batch) / targets
            (loss * weight).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            self.shared += batch.shared
        return total
