"""`gti_from_codebook`: GTI that starts from the rows of `codebook` instead of the mean."""

from torch import Tensor

from baselines.codebook import Codebook
from baselines.gti import Gti
from gti.method import Contrast, Look, Start


class GtiFromCodebook(Gti):
    """Does grounding do more when the rows relate from the start as the codes do?

    Against `gti` only the start differs; against `codebook` only the grounding stage.
    """

    key = "gti_from_codebook"
    summary = "gti, starting from the rows of `codebook`"
    source = "ours: ablation of GTI, arXiv 2604.02324 §3"
    group = "control"
    parent = "gti"
    order = 16
    look = Look("purple", 3)
    question = "Does it matter where grounding starts?"
    contrasts = (
        Contrast("gti_from_codebook", "gti", "the codebook's structure to start grounding from"),
        Contrast("gti_from_codebook", "codebook", "grounding of rows that have structure", 1),
    )

    def initialize(self, start: Start) -> Tensor:
        """The rows of `codebook`."""
        return Codebook().initialize(start)
