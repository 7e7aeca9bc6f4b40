"""`gti_shuffled`: GTI on pairs whose Semantic IDs were handed to other items."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class GtiShuffled(Gti):
    """The same stage, steps and texts, but every text stands beside a wrong Semantic ID.

    Isolates language from mere differentiation: where this does as well as `gti`, it is enough
    that the rows came apart. The permutation has no fixed points; items that share a Semantic ID
    may still exchange theirs.
    """

    key = "gti_shuffled"
    summary = "gti on permuted item–SID pairs, no item keeps its own"
    source = "ours: control of GTI, arXiv 2604.02324 §3"
    group = "control"
    parent = "gti"
    order = 16
    look = Look("sky", 1)
    question = "Must the pairs be the right ones?"
    contrasts = (
        Contrast("gti_shuffled", "mean", "grounding in other items' texts"),
        Contrast("gti", "gti_shuffled", "the right items' texts"),
    )

    def grounding(self) -> GroundingPlan:
        """Both directions, over permuted Semantic IDs."""
        return GroundingPlan(shuffled=True)
