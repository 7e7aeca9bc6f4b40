"""`gti`: rows trained on item text before fine-tuning, everything else frozen."""

from typing import ClassVar

from torch import Tensor

from gti.initializers import mean_rows
from gti.method import Contrast, FirstRows, GroundingPlan, Group, Look, Method, Spending, Start


class Gti(Method):
    """Grounded Token Initialization: only the new rows learn, from text paired with SIDs."""

    key = "gti"
    summary = "mean rows, then grounded in item text with everything else frozen"
    source = "GTI, arXiv 2604.02324 §3, Algorithm 1"
    group: ClassVar[Group] = "core"
    spends: ClassVar[dict[Spending, float]] = {"before": 1.0}
    first_rows: ClassVar[FirstRows | None] = "mean"
    order = 3
    look = Look("blue")
    question = "Is there a gain to explain?"
    contrasts: ClassVar[tuple[Contrast, ...]] = (
        Contrast("gti", "mean", "all of grounding, and its compute"),
    )

    def initialize(self, start: Start) -> Tensor:
        """The mean of the text rows, where the paper starts."""
        return mean_rows(start)

    def grounding(self) -> GroundingPlan:
        """Both directions, frozen throughout."""
        return GroundingPlan()
