"""`mean_two_phase`: the pairs of grounding with all weights free from the start."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class MeanTwoPhase(Gti):
    """The second phase of `gti_two_phase` alone, on the whole extra budget.

    Isolates freezing: pairs, start and budget are GTI's, but nothing is held still while they are
    learned.
    """

    key = "mean_two_phase"
    summary = "mean rows; grounding's pairs with all weights free"
    source = "ours: control of GTI, arXiv 2604.02324 §4.1"
    group = "control"
    parent = "gti"
    order = 18
    look = Look("black", 1)
    question = "Does freezing matter?"
    contrasts = (Contrast("gti", "mean_two_phase", "the model frozen while pairs are trained on"),)

    def grounding(self) -> GroundingPlan:
        """Nothing frozen."""
        return GroundingPlan(frozen_share=0.0)
