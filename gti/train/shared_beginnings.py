"""Any prompts of one micro-batch: a beginning that several have is computed once, for all of them.

A chat template's lead stands before every question, and questions of one history begin alike. In
alphabetical order of their tokens each prompt has its longest common beginning with one of those
before it from the one right before it. It is packed from there on, behind the tokens where that
beginning was computed, and sees them and itself: loss and gradient are those of one prompt per row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.prompts.prompter import Example
from gti.train.batches import Batch
from gti.train.packed_attention import Behind, Packed, can_pack, pack, packed_attending, run_packed
from gti.train.shared_histories import Cut, choose_batching, common_start, drops


@dataclass(frozen=True, kw_only=True)
class PackedBatch(Batch):
    """Examples packed behind one another's beginnings: `ids` has one row, padded nowhere.

    Attributes:
        where: [tokens] places in the whole examples.
        packed: order and groups.
    """

    where: Tensor
    packed: Packed


def in_order(examples: Sequence[Example]) -> list[Example]:
    """`examples` in alphabetical order of their tokens: what begins alike stands together."""
    # Compared as bytes, the most significant one first, which is the order of the numbers.
    return sorted(examples, key=lambda example: example.ids.astype(">i8").tobytes())


def pieces(
    examples: Sequence[Example], max_tokens: int
) -> Iterator[tuple[list[Example], list[int]]]:
    """Cuts `examples` into pieces of at most `max_tokens` tokens that are really computed.

    Yields:
        Examples, and how many tokens each has from the one before it: at least its last is its own.
    """
    piece: list[Example] = []
    shared: list[int] = []
    size = 0
    for example in in_order(examples):
        common = common_start(piece[-1].ids, example.ids) if piece else 0
        common = min(common, len(example) - 1)
        if piece and size + len(example) - common > max_tokens:
            yield piece, shared
            piece, shared, size, common = [], [], 0, 0
        piece.append(example)
        shared.append(common)
        size += len(example) - common
    if piece:
        yield piece, shared


def packed_batches(
    examples: Sequence[Example], max_tokens: int, device: torch.device, like: Tensor
) -> Iterator[Batch]:
    """Micro-batches of packed examples; `like`: a tensor of the dtype that is computed in."""
    for piece, shared in pieces(examples, max_tokens):
        yield collate_packed(piece, shared, device, like)


def collate_packed(
    examples: Sequence[Example], shared: Sequence[int], device: torch.device, like: Tensor
) -> PackedBatch:
    """Packs `examples`, each of which has its first `shared` tokens from the one before it."""
    lengths = [len(example) - common for example, common in zip(examples, shared, strict=True)]
    # Per example where each of its tokens is computed, before `pack` puts them in another order.
    places: list[IntArray] = []
    start = 0
    for length, common in zip(lengths, shared, strict=True):
        before = places[-1][:common] if common else np.empty(0, dtype=np.int64)
        places.append(np.concatenate([before, start + np.arange(length)]))
        start += length
    behind = [Behind((), place[:common]) for place, common in zip(places, shared, strict=True)]
    packed = pack(lengths, behind, like)
    first = np.cumsum(lengths) - lengths
    order = np.concatenate([first[row] + np.arange(lengths[row]) for row in packed.order])
    moved = np.argsort(order)
    own = [example.ids[common:] for example, common in zip(examples, shared, strict=True)]
    where = [np.arange(common, len(each)) for each, common in zip(examples, shared, strict=True)]
    pairs = list(zip(examples, places, strict=True))

    def joined(arrays: Sequence[IntArray]) -> IntArray:
        return np.concatenate(arrays)

    def tensor(array: IntArray) -> Tensor:
        return torch.from_numpy(array).to(device)

    predicted = joined([place[example.targets - 1] for example, place in pairs])
    return PackedBatch(
        ids=tensor(joined(own)[order])[None],
        rows=torch.zeros(len(predicted), dtype=torch.long, device=device),
        positions=tensor(moved[predicted]),
        labels=tensor(joined([example.ids[example.targets] for example in examples])),
        lengths=tuple(lengths),
        shared=tuple(common for common in shared if common),
        where=tensor(joined(where)[order]),
        packed=packed,
    )


def packed_states(model: Any, batch: PackedBatch) -> Tensor:
    """[targets, d] the hidden states of `batch` that predict its answers."""
    embedded = model.get_input_embeddings()(batch.ids[0])
    with packed_attending(model):
        hidden = run_packed(model, embedded, batch.where, batch.packed)
    return hidden[batch.positions]


def choose_sharing(
    model: Any, examples: Sequence[Example], share: bool, like: Tensor | None
) -> tuple[Cut, str | None]:
    """Picks how micro-batches are made of `examples`; says why beginnings are not shared.

    Args:
        model: what is trained.
        examples: of all steps.
        share: false for the plain way.
        like: a tensor of the dtype that is computed in, where any prompts may share what they
            begin with; null: those of one block alone may.
    """
    longest = max(map(len, examples), default=0)
    if share and like is not None and not drops(model) and can_pack(model, longest):
        return partial(packed_batches, like=like), None
    return choose_batching(model, examples, share)
