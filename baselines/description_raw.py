"""`description_raw`: each new row the mean embedding of the texts of the code's items, as it is."""

from torch import Tensor

from gti.initializers import averaged_texts
from gti.method import Contrast, Look, Method, Start


class DescriptionRaw(Method):
    """What averaging gives: short rows, since words cancel, that are nearly alike in direction.

    An item's vector is the mean row of the tokens of all its texts (fields in order of their names,
    joined by spaces, special tokens none); a code's row is the mean over its items, so that a long
    text weighs no more than a short one. Items without text do not count; a code that no item with
    text carries gets the mean of the text rows.
    """

    key = "description_raw"
    summary = "mean embedding of the texts of the code's items, not rescaled"
    source = "ours: GTI (arXiv 2604.02324) without the training"
    group = "initialization"
    parent = "mean"
    reads_texts = True
    order = 22
    look = Look("vermilion", 3)
    question = "Is it only that the rows differ?"
    contrasts = (
        Contrast("description", "description_raw", "the same texts, centred, at text rows' norm"),
    )

    def initialize(self, start: Start) -> Tensor:
        """Tokens to items to codes, in float64."""
        return averaged_texts(start)
