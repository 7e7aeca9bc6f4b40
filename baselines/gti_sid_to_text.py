"""`gti_sid_to_text`: GTI grounded in one direction, Semantic ID → text."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class GtiSidToText(Gti):
    """The new rows learn as inputs only: which text a Semantic ID stands for.

    Against `gti`: is the other direction needed? The budget is the same, all of it on this one.
    With tied weights the head sees these rows too, though never as the right answer.
    """

    key = "gti_sid_to_text"
    summary = "gti with pairs SID → text only"
    source = "ours: ablation of GTI, arXiv 2604.02324 §3"
    group = "control"
    parent = "gti"
    order = 14
    look = Look("blue", 2)
    question = "Does it take both directions?"
    contrasts = (Contrast("gti", "gti_sid_to_text", "pairs text → Semantic ID"),)

    def grounding(self) -> GroundingPlan:
        """No pair asks for a Semantic ID."""
        return GroundingPlan(text_to_sid=False)
