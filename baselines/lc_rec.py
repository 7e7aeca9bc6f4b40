"""`lc_rec`: mean rows; LC-Rec's alignment tasks run beside the retrieval stream during SFT."""

from typing import ClassVar

from torch import Tensor

from gti.initializers import mean_rows
from gti.method import Contrast, Look, Method, Spending, Start


class LcRec(Method):
    """Auxiliary tasks instead of a stage: text and Semantic IDs are aligned while SFT runs."""

    key = "lc_rec"
    summary = "mean rows; the alignment tasks of five families beside the retrieval stream"
    source = "LC-Rec, arXiv 2311.09049 §3.3: index-language and recommendation-oriented alignment"
    group = "core"
    parent = "mean"
    version = 2  # 2: all families, several wordings each, drawn anew at every pass
    alignment = True
    spends: ClassVar[dict[Spending, float]] = {"beside": 1.0}
    first_rows = "mean"
    order = 4
    look = Look("green")
    question = "Is it more compute?"
    contrasts = (
        Contrast("gti", "lc_rec", "text before SFT, not beside it; equal nominal compute", place=1),
    )

    def initialize(self, start: Start) -> Tensor:
        """The mean of the text rows, LC-Rec's start."""
        return mean_rows(start)
