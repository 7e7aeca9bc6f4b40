"""`mean`: every new row on the mean of the text rows. The reference of every board."""

from torch import Tensor

from gti.initializers import mean_rows
from gti.method import Look, Method, Start


class Mean(Method):
    """On the manifold of the old rows, but all new rows equal."""

    key = "mean"
    summary = "every new row on the mean of the text rows"
    source = "Hewitt 2021, 'Initializing New Word Embeddings for Pretrained Language Models'"
    group = "core"
    first_rows = "mean"
    order = 1
    look = Look("black")

    def initialize(self, start: Start) -> Tensor:
        """The mean over real text rows only: padding rows are not among `text_rows`."""
        return mean_rows(start)
