"""Examples as padded batches, cut into micro-batches that fit the device."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from gti.prompts.prompter import Example
from gti.train.training import TrainingError

SizedItem = TypeVar("SizedItem", bound=Sized)


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
        give_up: frees what is kept for speed alone, and says whether there was any; called once
            one example alone does not fit.
    """

    def __init__(
        self,
        max_tokens: int,
        device: torch.device,
        cut: Callable[[Sequence[Example], int, torch.device], Iterator[Batch]] = plain_batches,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.max_tokens = max_tokens
        self.device = device
        self.cut = cut
        self.give_up = give_up
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
            reset: clears the gradients, and whatever else a try changes, for a second one.

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
                if self.max_tokens > longest:
                    self.max_tokens = max(longest, self.max_tokens // 2)
                    self.halved = True
                elif not self.give_up():
                    raise TrainingError(
                        f"out of memory on {self.device} with a micro-batch of one example"
                        f" ({longest} tokens): lower max_history, window or max_text_tokens, or"
                        " use a smaller backbone"
                    ) from error
            reset()
            if self.device.type == "cuda":  # only here: the error kept alive what failed
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
