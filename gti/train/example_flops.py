"""Nominal FLOPs of training on examples: what budgets are counted in."""

from collections.abc import Sequence

from gti.model.flops import ModelShape, Trains
from gti.prompts.prompter import Example


def nominal_flops(shape: ModelShape, examples: Sequence[Example], trains: Trains) -> float:
    """Nominal FLOPs of training on `examples` (`gti.model.flops`).

    An example with a teacher meets no head, and the teacher is read forward.
    """
    plain = [len(example.ids) for example in examples if example.teacher is None]
    taught = [example for example in examples if example.teacher is not None]
    if not taught:
        return shape.flops(plain, trains)
    own = shape.flops([len(example.ids) for example in taught], trains, head_positions=0)
    lengths = [len(example.teacher) for example in taught if example.teacher is not None]
    teachers = shape.flops(lengths, "nothing", head_positions=0)
    return shape.flops(plain, trains) + own + teachers
