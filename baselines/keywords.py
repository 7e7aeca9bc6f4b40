"""`keywords`: each new row the words that tell its code apart, centred, as long as text rows."""

from torch import Tensor

from baselines.keywords_raw import KeywordsRaw
from gti.initializers import like_text_rows
from gti.method import Look, Method, Start


class Keywords(Method):
    """The rows of `keywords_raw`, centred within their level, each as long as text rows are.

    See `gti.initializers.like_text_rows`. Against `description` only the weights of the words
    differ: those that every code shares count for nothing.
    """

    key = "keywords"
    summary = "the code's words weighted by tf-idf, centred, at the text rows' norm"
    source = "after TS-Rec's SA-Init, arXiv 2602.22632"
    group = "initialization"
    version = 2
    parent = "mean"
    reads_texts = True
    order = 11
    look = Look("vermilion", 1)

    def initialize(self, start: Start) -> Tensor:
        """Words first, then centred and rescaled."""
        return like_text_rows(start, KeywordsRaw().initialize(start))
