"""`lc_rec`: mean rows; LC-Rec's alignment tasks run beside the retrieval stream during SFT."""

from typing import ClassVar

from torch import Tensor

from gti.method import Method, Spending, Start


class LcRec(Method):
    """Auxiliary tasks instead of a stage: text and Semantic IDs are aligned while SFT runs."""

    key = "lc_rec"
    summary = "mean rows; alignment tasks from item text beside the retrieval stream"
    source = "LC-Rec, arXiv 2311.09049 §3.3"
    group = "core"
    alignment = True
    spends: ClassVar[dict[Spending, float]] = {"beside": 1.0}

    def initialize(self, start: Start) -> Tensor:
        """The mean of the text rows, LC-Rec's start."""
        return start.text_rows.mean(dim=0).expand(start.num_new, -1)
