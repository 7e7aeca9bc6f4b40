"""`description`: each new row the averaged texts of its code, centred, as long as text rows are."""

from torch import Tensor

from baselines.description_raw import DescriptionRaw
from gti.initializers import like_text_rows
from gti.method import Contrast, Look, Method, Start


class Description(Method):
    """Grounding without training: how far does averaging the items' words go?

    The rows of `description_raw`, less what all codes of a level have in common, each as long as
    text rows are on average (`gti.initializers.like_text_rows`). Against `random_matched` only the
    directions differ.
    """

    key = "description"
    summary = "mean embedding of the code's texts, centred, at the text rows' norm"
    source = "ours: GTI (arXiv 2604.02324) without the training"
    group = "initialization"
    version = 2
    parent = "mean"
    first_rows = "words"
    reads_texts = True
    order = 10
    look = Look("vermilion")
    question = "Would the texts do without training?"
    contrasts = (
        Contrast("description", "mean", "texts averaged into the rows, no training"),
        Contrast("gti", "description", "training instead of averaging, and its compute"),
    )

    def initialize(self, start: Start) -> Tensor:
        """Texts first, then centred and rescaled."""
        return like_text_rows(start, DescriptionRaw().initialize(start))
