"""`gti_lc_rec`: GTI's stage, then SFT with LC-Rec's alignment tasks beside it."""

from typing import ClassVar

from baselines.gti import Gti
from gti.method import Contrast, Look, Spending


class GtiLcRec(Gti):
    """Do the two ways of bringing language in add up? The GTI paper has no such row on public data.

    Half of the extra budget goes into grounding, half into the alignment tasks.
    """

    key = "gti_lc_rec"
    summary = "gti, then alignment tasks beside the retrieval stream"
    source = "GTI, arXiv 2604.02324 §3, and LC-Rec, arXiv 2311.09049 §3.3"
    group = "control"
    parent = "gti"
    alignment = True
    spends: ClassVar[dict[Spending, float]] = {"before": 0.5, "beside": 0.5}
    order = 5
    look = Look("sky")
    question = "Does it add to alignment tasks?"
    contrasts = (Contrast("gti_lc_rec", "lc_rec", "half of the extra budget spent on grounding"),)
