"""Rows that learn hidden states: what stands behind a Semantic ID is as if the text stood there.

After token distillation (Dobler et al. 2025, arXiv 2505.20133): the teacher is the frozen model
itself, which reads the words; the student reads the new tokens in their place. What differs between
the two is the squared distance of their last hidden states, behind the place. There a token of many
pieces gets one token; here the words of a title get the codes of its item, which items share.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gti.prompts.prompter import Example
from gti.train.batches import Batch, collate, micro_batches


@dataclass(frozen=True, kw_only=True)
class TaughtBatch(Batch):
    """A batch with what its examples are taught by, target by target.

    Attributes:
        teacher: the same targets behind texts.
    """

    teacher: Batch


def taught_batches(
    examples: Sequence[Example], max_tokens: int, device: torch.device
) -> Iterator[Batch]:
    """Micro-batches of one example per row, each with its teacher."""
    for piece in micro_batches(examples, max_tokens):
        teachers = []
        for example in piece:
            assert example.teacher is not None  # all of a stage have one, or none
            further = len(example.teacher) - len(example.ids)
            targets = example.targets + further
            teachers.append(replace(example, ids=example.teacher, targets=targets))
        own = collate(piece, device)
        yield TaughtBatch(**vars(own), teacher=collate(teachers, device))


def states_loss(states: Tensor, taught: Tensor) -> Tensor:
    """Summed mean squared difference of `states` [targets, d] from those to learn."""
    lacking = states - taught
    lacking = lacking if lacking.dtype == torch.float64 else lacking.float()
    return lacking.square().mean(dim=-1).sum()
