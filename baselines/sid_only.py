"""`sid_only`: GTI's stage on Semantic IDs alone, without texts and without histories."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class SidOnly(Gti):
    """The grammar of the codes: which code follows which, in the catalogue's Semantic IDs.

    Against `gti`: do the texts add to what pairs teach of the codes alone? Start, what is frozen,
    rates and compute are GTI's; an example is the Semantic ID of an item, each code asked for after
    those before it. Examples are short, so there are more of them for the same compute.
    """

    key = "sid_only"
    summary = "mean rows, then trained alone on Semantic IDs, code after code, without texts"
    source = "ours: control of GTI, arXiv 2604.02324 §3"
    group = "control"
    parent = "gti"
    order = 20
    look = Look("sky", 2)
    question = "Does it take texts to train the rows first?"
    contrasts = (Contrast("gti", "sid_only", "texts, beyond the grammar of the codes"),)

    def grounding(self) -> GroundingPlan:
        """Semantic IDs instead of pairs, frozen throughout."""
        return GroundingPlan(on="codes")
