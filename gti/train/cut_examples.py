"""Grounding's examples, cut at their first new token: constants before it, gradients behind it.

What stands behind an example's last but one target is read by nothing and left out; what remains
is packed without padding.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.model.compute import Computing
from gti.model.flops import ModelShape
from gti.prompts.prompter import Example
from gti.train.batches import Batch, micro_batches
from gti.train.constant_prefixes import ConstantPrefixes, Prefix, Run
from gti.train.distillation import TaughtBatch
from gti.train.packed_attention import NOTHING, Packed, pack


@dataclass(frozen=True)
class CutExample:
    """An example, cut where the trained rows begin to matter.

    Attributes:
        prefix: [length] int64 token ids before the first new token; empty where a target stands
            among them, or nothing does.
        ids: the tokens from there to the last one that predicts a target.
        places: [targets] which of `ids` predict targets.
        labels: [targets] those targets.
        first: the new token that the prefix itself predicts as a target; null where it is none.
    """

    prefix: IntArray
    ids: IntArray
    places: IntArray
    labels: IntArray
    first: int | None

    @property
    def key(self) -> bytes:
        """Names the prefix."""
        return self.prefix.tobytes()


def cut_at_first_new(example: Example, is_new: np.ndarray[Any, np.dtype[np.bool_]]) -> CutExample:
    """Cuts `example` at its first new token.

    Args:
        example: the example.
        is_new: [rows of the matrix] which of them are trained.
    """
    new = np.flatnonzero(is_new[example.ids])
    cut = int(new[0]) if len(new) and new[0] <= example.answer_start else 0
    later = example.targets[example.targets > cut]
    return CutExample(
        prefix=example.ids[:cut],
        ids=example.ids[cut : example.targets[-1]],
        places=later - 1 - cut,
        labels=example.ids[later],
        first=int(example.ids[cut]) if len(later) < example.num_targets else None,
    )


@dataclass(frozen=True, kw_only=True)
class CutBatch(Batch):
    """Packed examples behind their prefixes: `ids` has one row, padded nowhere.

    Attributes:
        where: [tokens] places in the whole examples.
        packed: order and groups; null where nothing but prefixes predicts a target.
        firsts: the prefixes that predict a target themselves.
        first_labels: [firsts] these targets.
        before: lengths of the prefixes that the packed sequences stand behind.
        runs: what had to be run for this batch without gradients.
    """

    where: Tensor
    packed: Packed | None
    firsts: tuple[Prefix, ...]
    first_labels: Tensor
    before: tuple[int, ...]
    runs: tuple[Run, ...]


def batch_flops(batch: Batch, shape: ModelShape) -> float:
    """FLOPs really spent on training rows on `batch`, what was run for it included."""
    if isinstance(batch, TaughtBatch):
        own = shape.flops(batch.lengths, "rows", head_positions=0)
        return own + shape.flops(batch.teacher.lengths, "nothing", head_positions=0)
    if not isinstance(batch, CutBatch):
        return shape.spent_flops(batch.lengths, batch.num_targets, "rows")
    spent = shape.spent_flops([], batch.num_targets, "rows")
    for length, before in zip(batch.lengths, batch.before, strict=True):
        spent += shape.spent_flops([length], 0, "rows", before=before)
    for run in batch.runs:
        spent += shape.spent_flops([run.tokens], run.states, "nothing", before=run.before)
    return spent


class Cutter:
    """Cuts batches of examples into micro-batches behind constant prefixes.

    Args:
        computing, matrices, new_ids, bound: see `ConstantPrefixes`.
        examples: all that will come, repeats included.
    """

    def __init__(
        self,
        computing: Computing,
        matrices: tuple[Tensor, Tensor],
        new_ids: Tensor,
        examples: Iterable[Example],
        bound: int | None = None,
    ) -> None:
        is_new = np.zeros(len(matrices[0]), dtype=bool)
        is_new[new_ids.cpu().numpy()] = True
        self.like = matrices[0]
        self.cuts: dict[int, CutExample] = {}
        coming = []
        for example in examples:
            cut = self.cuts.get(id(example))
            if cut is None:
                cut = self.cuts[id(example)] = cut_at_first_new(example, is_new)
            if len(cut.prefix):
                coming.append((example.task, cut.prefix))
        self.prefixes = ConstantPrefixes(computing, matrices, new_ids, coming, bound)

    def micro_batches(
        self, examples: Sequence[Example], max_tokens: int, device: torch.device
    ) -> Iterator[CutBatch]:
        """Pieces of at most `max_tokens` padded tokens, as they would be without prefixes."""
        for piece in micro_batches(examples, max_tokens):
            yield self._batch([self.cuts[id(example)] for example in piece], device)

    def catch_up(self, batches: Iterable[Sequence[Example]], max_tokens: int) -> None:
        """Keeps the prefixes that are kept once `micro_batches` has cut all of `batches`."""
        for examples in batches:
            for piece in micro_batches(examples, max_tokens):
                cuts = [self.cuts[id(example)] for example in piece]
                self.prefixes.catch_up({cut.key: cut.prefix for cut in cuts if len(cut.prefix)})

    def _batch(self, cuts: Sequence[CutExample], device: torch.device) -> CutBatch:
        wanted = {cut.key: cut.prefix for cut in cuts if len(cut.prefix)}
        prefixes, runs = self.prefixes.get(wanted)
        tails = [cut for cut in cuts if len(cut.ids)]
        behind = [prefixes[cut.key].behind if len(cut.prefix) else NOTHING for cut in tails]
        packed, starts = None, np.empty(0, dtype=np.int64)
        if tails:
            packed = pack([len(cut.ids) for cut in tails], behind, self.like)
            starts, tails = packed.starts, [tails[row] for row in packed.order]
        firsts = [cut for cut in cuts if cut.first is not None]
        positions = [start + cut.places for start, cut in zip(starts, tails, strict=True)]

        def joined(arrays: Sequence[IntArray]) -> Tensor:
            filled = np.concatenate([*arrays, np.empty(0, dtype=np.int64)])
            return torch.from_numpy(filled).to(device)

        return CutBatch(
            ids=joined([cut.ids for cut in tails])[None],
            rows=torch.zeros(sum(map(len, positions)), dtype=torch.long, device=device),
            positions=joined(positions),
            labels=joined([cut.labels for cut in tails]),
            lengths=tuple(len(cut.ids) for cut in tails),
            where=joined([len(cut.prefix) + np.arange(len(cut.ids)) for cut in tails]),
            packed=packed,
            firsts=tuple(prefixes[cut.key] for cut in firsts),
            first_labels=joined([np.array([cut.first for cut in firsts], dtype=np.int64)]),
            before=tuple(len(cut.prefix) for cut in tails),
            runs=tuple(runs),
        )
