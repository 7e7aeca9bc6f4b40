"""`mean_matched`: the reference, trained longer by as much as grounding costs."""

from typing import ClassVar

from torch import Tensor

from gti.initializers import mean_rows
from gti.method import Contrast, Look, Method, Spending, Start


class MeanMatched(Method):
    """The compute control: is it the grounding, or just more training?

    SFT runs on over the same retrieval stream until the extra budget A is spent, with one learning
    rate schedule over the whole length.
    """

    key = "mean_matched"
    summary = "mean rows; SFT goes on over R for the extra budget A"
    source = "ours: compute control of GTI, arXiv 2604.02324"
    group = "control"
    parent = "mean"
    spends: ClassVar[dict[Spending, float]] = {"after": 1.0}
    first_rows = "mean"
    order = 6
    look = Look("grey")
    question = "Is it more compute?"
    contrasts = (
        Contrast("mean_matched", "mean", "as much nominal compute, in more of the same SFT"),
        Contrast("gti", "mean_matched", "grounding, at equal nominal compute"),
    )

    def initialize(self, start: Start) -> Tensor:
        """The rows of `mean`."""
        return mean_rows(start)
