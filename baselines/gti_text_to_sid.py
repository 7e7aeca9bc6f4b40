"""`gti_text_to_sid`: GTI grounded in one direction, text → Semantic ID."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class GtiTextToSid(Gti):
    """The new rows learn as outputs: which codes to write after a text.

    As inputs they learn only within the Semantic ID that is being written. Against `gti`: is the
    other direction needed? The budget is the same, all of it on this one.
    """

    key = "gti_text_to_sid"
    summary = "gti with pairs text → SID only"
    source = "ours: ablation of GTI, arXiv 2604.02324 §3"
    group = "control"
    parent = "gti"
    order = 13
    look = Look("blue", 1)
    question = "Does it take both directions?"
    contrasts = (Contrast("gti", "gti_text_to_sid", "pairs Semantic ID → text"),)

    def grounding(self) -> GroundingPlan:
        """No pair asks for text."""
        return GroundingPlan(sid_to_text=False)
