"""The two budgets of a cell, in nominal FLOPs: SFT on R, and the extra budget A.

Both come from the setting alone (and the seed's order of R), never from the method: what a method
does not spend of A is not handed to anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gti.model.flops import ModelShape, Trains
from gti.prompts.prompter import Example
from gti.train.example_flops import nominal_flops
from leaderboard.records.specs import ExtraSpec, SftSpec


@dataclass(frozen=True)
class ExtraBudget:
    """The extra budget A.

    Attributes:
        flops: nominal FLOPs.
        frozen_share: share of A that a two-phase stage spends with only the new rows trainable,
            where the setting gives both phases in steps; null: the method's own share.
    """

    flops: float
    frozen_share: float | None


def flops_of(
    shape: ModelShape, batches: Sequence[Sequence[Example]], trains: Trains = "all"
) -> float:
    """Nominal FLOPs of training on `batches` (the plain form: every position meets the head)."""
    return nominal_flops(shape, [example for batch in batches for example in batch], trains)


def sft_passes(sft: SftSpec, num_examples: int) -> float:
    """Passes over R, where the setting gives steps: those that make as many batches."""
    if sft.passes is not None:
        return sft.passes
    assert sft.steps is not None  # the spec holds one of the two
    return sft.steps / -(-num_examples // sft.batch_size)


def extra_budget(
    extra: ExtraSpec,
    sft_flops: float,
    shape: ModelShape,
    pairs: Sequence[Example],
    batch_size: int,
) -> ExtraBudget:
    """A, by the one of its three forms that the setting gives.

    Args:
        extra: the setting's form.
        sft_flops: nominal FLOPs of R.
        shape: the backbone's sizes.
        pairs: GTI's own pairs, both directions, one pass.
        batch_size: pairs per grounding step.
    """
    if extra.share_of_sft is not None:
        return ExtraBudget(extra.share_of_sft * sft_flops, None)
    frozen_pass = flops_of(shape, [pairs], "rows")
    if extra.grounding_passes is not None:
        return ExtraBudget(extra.grounding_passes * frozen_pass, None)
    assert extra.grounding_steps is not None  # the spec holds one of the three
    # Batches are of mixed tasks, so the mean pair stands for each of a step's pairs.
    steps = batch_size / max(1, len(pairs))
    frozen = extra.grounding_steps * steps * frozen_pass
    free = (extra.free_steps or 0) * steps * flops_of(shape, [pairs], "all")
    total = frozen + free
    return ExtraBudget(total, frozen / total if free else None)
