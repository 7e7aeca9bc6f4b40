"""`mean_matched`: the reference, trained longer by as much as grounding costs."""

from typing import ClassVar

from torch import Tensor

from gti.initializers import mean_rows
from gti.method import Method, Spending, Start


class MeanMatched(Method):
    """The compute control: is it the grounding, or just more training?

    SFT runs on over the same retrieval stream until the extra budget A is spent, with one learning
    rate schedule over the whole length.
    """

    key = "mean_matched"
    summary = "mean rows; SFT goes on over R for the extra budget A"
    source = "ours: compute control of GTI, arXiv 2604.02324"
    group = "control"
    spends: ClassVar[dict[Spending, float]] = {"after": 1.0}

    def initialize(self, start: Start) -> Tensor:
        """The rows of `mean`."""
        return mean_rows(start)
