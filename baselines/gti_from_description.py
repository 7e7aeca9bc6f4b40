"""`gti_from_description`: GTI that starts from the rows of `description` instead of the mean."""

from torch import Tensor

from baselines.description import Description
from baselines.gti import Gti
from gti.method import Contrast, Look, Start


class GtiFromDescription(Gti):
    """Does grounding still add something when the rows begin with the items' words in them?

    Against `gti` only the start differs; against `description` only the grounding stage.
    """

    key = "gti_from_description"
    summary = "gti, starting from the rows of `description`"
    source = "ours: ablation of GTI, arXiv 2604.02324 §3"
    group = "control"
    version = 2
    parent = "gti"
    first_rows = "words"
    reads_texts = True
    order = 15
    look = Look("vermilion", 2)
    question = "Would the texts do without training?"
    contrasts = (Contrast("gti_from_description", "gti", "averaged texts to start grounding from"),)

    def initialize(self, start: Start) -> Tensor:
        """The rows of `description`."""
        return Description().initialize(start)
