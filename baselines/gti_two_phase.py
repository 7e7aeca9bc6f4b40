"""`gti_two_phase`: GTI whose stage goes on with all weights free, as the paper's §4.1 has it."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class GtiTwoPhase(Gti):
    """Half of the extra budget with only the new rows trainable, half with all weights.

    Against `gti`: does it help to let the backbone follow? The pairs are the same in both halves.
    A setting that gives both phases in steps (paper: 8,000 and 8,000) replaces the half.
    """

    key = "gti_two_phase"
    summary = "gti, then the same pairs with all weights free"
    source = "GTI, arXiv 2604.02324 §4.1"
    group = "control"
    parent = "gti"
    order = 17
    look = Look("blue", 3)
    question = "Does freezing matter?"
    contrasts = (
        Contrast("gti_two_phase", "gti", "part of the pairs with all weights free", place=1),
    )

    def grounding(self) -> GroundingPlan:
        """Frozen first, free after, half the FLOPs each."""
        return GroundingPlan(frozen_share=0.5)
