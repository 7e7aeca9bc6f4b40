"""`random_matched`: random directions at the text rows' norms; separates scale from direction."""

from torch import Tensor

from gti.initializers import random_matched_rows
from gti.method import Contrast, Look, Method, Start


class RandomMatched(Method):
    """As far from the origin as text rows are, but pointing nowhere in particular.

    Against `random` only the scale differs; against `mean` and `gaussian`, that the directions know
    nothing of the text rows. Directions are uniform on the sphere; each row takes the norm of a
    text row drawn with replacement among those that are not zero.
    """

    key = "random_matched"
    summary = "random directions at the norms of text rows"
    source = "ours: `random` at the text rows' scale"
    group = "initialization"
    parent = "mean"
    first_rows = "drawn"
    order = 7
    look = Look("orange", 1)
    question = "Is it only that the rows differ?"
    contrasts = (
        Contrast("random_matched", "mean", "rows that differ, as long as text rows"),
        Contrast("gti", "random_matched", "trained rows instead of merely different ones"),
    )

    def initialize(self, start: Start) -> Tensor:
        """Directions first, then norms, both from the stream `init`."""
        return random_matched_rows(start)
