"""Prompts that begin alike, in one sequence: what they share is computed once.

The prompts cut from one block of a history are packed into one row: the longest as it is (the
trunk), every other from the token at which it leaves the trunk (a branch). A branch sees its part
of the trunk and itself, at the positions it would have alone, and is blind to other branches. Loss
and gradient are those of one prompt per row; what is shared is found by comparing tokens, so no
template or tokenizer can make it wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.model.capabilities import (
    difference,
    hides,
    largest_difference,
    original_of,
    trial_ids,
    trying,
)
from gti.prompts.prompter import Example
from gti.train.batches import Batch, micro_batches, plain_batches
from gti.train.training import hidden_states

PROBE = ((0, 1, 2, 3, 4, 5), (0, 1, 2, 6, 7), (0, 1, 8))
"""Sequences on which a model shows whether it takes packed rows: places in `trial_ids`."""

Cut = Callable[[Sequence[Example], int, torch.device], Iterator[Batch]]


def common_start(one: IntArray, other: IntArray) -> int:
    """How many tokens `one` and `other` have in common before they first differ."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(one[:length] != other[:length])
    return int(differ[0]) if len(differ) else length


@dataclass(frozen=True)
class Bundle:
    """Examples that share a row.

    Attributes:
        examples: the trunk first.
        shared: tokens that each has from the trunk; 0 for the trunk itself.
    """

    examples: tuple[Example, ...]
    shared: tuple[int, ...]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "Bundle":
        """Bundles `examples`; the longest becomes the trunk."""
        ordered = sorted(examples, key=lambda example: -len(example))
        trunk = ordered[0].ids
        return cls(
            tuple(ordered), (0, *(common_start(trunk, branch.ids) for branch in ordered[1:]))
        )

    def __len__(self) -> int:
        """Number of tokens in the row."""
        return sum(map(len, self.examples)) - sum(self.shared)

    def halves(self) -> "tuple[Bundle, Bundle]":
        """The longer and the shorter examples, each with a trunk of their own."""
        middle = len(self.examples) // 2
        return Bundle.of(self.examples[:middle]), Bundle.of(self.examples[middle:])


def bundles(examples: Sequence[Example], max_tokens: int) -> list[Bundle]:
    """One bundle per block of `examples`, cut until none but a single example is over `max_tokens`.

    An example of no block is a bundle of its own.
    """
    blocks: dict[tuple[bool, int], list[Example]] = {}
    for number, example in enumerate(examples):
        key = number if example.block is None else example.block
        blocks.setdefault((example.block is None, key), []).append(example)
    waiting = [Bundle.of(block) for block in blocks.values()]
    found = []
    while waiting:
        bundle = waiting.pop()
        if len(bundle) > max_tokens and len(bundle.examples) > 1:
            waiting += bundle.halves()
        else:
            found.append(bundle)
    return found


def bundled_batches(
    examples: Sequence[Example], max_tokens: int, device: torch.device
) -> Iterator[Batch]:
    """Micro-batches of bundles; what shares nothing goes beside them, one example per row."""
    found = bundles(examples, max_tokens)
    alone = [bundle.examples[0] for bundle in found if len(bundle.examples) == 1]
    yield from plain_batches(alone, max_tokens, device)
    for piece in micro_batches(
        [bundle for bundle in found if len(bundle.examples) > 1], max_tokens
    ):
        yield collate_bundles(piece, device)


def collate_bundles(packed: Sequence[Bundle], device: torch.device) -> Batch:
    """Puts each bundle into a row, padded on the right.

    A token sees what stands before it in its row and is either of its own example or of the part
    of the trunk that its example shares.
    """
    shape = (len(packed), max(map(len, packed)))
    ids, places = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    owner, shared = np.full(shape, -1, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    rows, positions, labels = [], [], []
    for row, bundle in enumerate(packed):
        start = 0
        for number, (example, common) in enumerate(
            zip(bundle.examples, bundle.shared, strict=True)
        ):
            end = start + len(example) - common
            ids[row, start:end] = example.ids[common:]
            places[row, start:end] = np.arange(common, len(example))
            owner[row, start:end] = number
            shared[row, start:end] = common
            before = example.targets - 1  # where each target is predicted
            positions.append(np.where(before < common, before, before - common + start))
            rows.append(np.full(len(before), row, dtype=np.int64))
            labels.append(example.ids[example.targets])
            start = end
    whose, seen = torch.from_numpy(owner).to(device), torch.from_numpy(shared).to(device)
    before_it = torch.arange(shape[1], device=device)
    visible = (whose[:, :, None] == whose[:, None, :]) | (before_it < seen[:, :, None])
    mask = visible & (before_it <= before_it[:, None])
    return Batch(
        ids=torch.from_numpy(ids).to(device),
        rows=torch.from_numpy(np.concatenate(rows)).to(device),
        positions=torch.from_numpy(np.concatenate(positions)).to(device),
        labels=torch.from_numpy(np.concatenate(labels)).to(device),
        lengths=tuple(map(len, packed)),
        layout={
            "attention_mask": mask[:, None],
            "position_ids": torch.from_numpy(places).to(device),
        },
        shared=tuple(common for bundle in packed for common in bundle.shared if common),
    )


def drops(model: Any) -> bool:
    """Whether `model` drops activations at random in training."""
    rate = getattr(model.config, "attention_dropout", 0.0) or 0.0
    layers = (module for module in model.modules() if isinstance(module, torch.nn.Dropout))
    return rate > 0 or any(layer.p > 0 for layer in layers)


def _probe_error(model: Any) -> float:
    """Largest difference between a packed row and one example per row, over the largest state."""
    device = model.get_input_embeddings().weight.device
    drawn = trial_ids(model, 1, 9)[0].numpy(force=True)
    ids = [drawn[list(places)] for places in PROBE]
    examples = [Example(tokens, np.arange(1, len(tokens)), "probe", 0) for tokens in ids]
    batch = collate_bundles([Bundle.of(examples)], device)
    packed = hidden_states(model, input_ids=batch.ids, **batch.layout)[batch.rows, batch.positions]
    alone = [
        hidden_states(model, input_ids=torch.from_numpy(tokens)[None].to(device))[0, :-1]
        for tokens in ids
    ]
    plain: Tensor = torch.cat(alone)
    return difference(packed, plain)


def why_not_packed(model: Any, tokens: int) -> str | None:
    """Why `model` must be given one prompt per row; null where packed rows give the same.

    Packed rows need an explicit mask and positions. Whether the model heeds them is seen on a few
    short sequences; and nothing may be dropped, as each prompt would drop something else.

    Args:
        model: a causal LM.
        tokens: of the longest example.
    """
    if drops(model):
        return "dropout"
    kind = hides(model.config, tokens)
    if kind is not None:
        return kind
    model = original_of(model)
    try:
        with trying(model):
            error = _probe_error(model)
    except torch.OutOfMemoryError:
        raise
    except Exception as refusal:  # its author's choice
        return f"the model refuses a mask over pairs of tokens ({type(refusal).__name__})"
    if error < largest_difference(model.get_input_embeddings().weight.dtype):
        return None
    return f"the model heeds no mask over pairs of tokens (states differ by {error:.1g})"


def choose_batching(model: Any, examples: Sequence[Example], share: bool) -> tuple[Cut, str | None]:
    """Picks packed or plain micro-batches for `examples`; says why if packing was possible.

    Args:
        model: what is trained.
        examples: of all steps.
        share: false for the plain way.
    """
    if not any(example.block is not None for example in examples):
        return plain_batches, None
    reason = why_not_packed(model, max(map(len, examples))) if share else "switched off"
    return (bundled_batches if reason is None else plain_batches), reason
