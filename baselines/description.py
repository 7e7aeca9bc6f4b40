"""`description`: each new row the mean embedding of the texts of the items that carry the code."""

from torch import Tensor

from gti.initializers import item_text, mean_over_items, token_places
from gti.method import Contrast, Look, Method, Start


class Description(Method):
    """Grounding without training: how far does averaging the items' words go?

    An item's vector is the mean row of the tokens of all its texts (fields in order of their names,
    joined by spaces, special tokens none); a code's row is the mean over its items, so that a long
    text weighs no more than a short one. Items without text do not count; a code that no item with
    text carries gets the mean of the text rows.
    """

    key = "description"
    summary = "mean embedding of the texts of the code's items"
    source = "ours: GTI (arXiv 2604.02324) without the training"
    group = "initialization"
    parent = "mean"
    first_rows = "words"
    order = 10
    look = Look("vermilion")
    question = "Would the texts do without training?"
    contrasts = (
        Contrast("description", "mean", "texts averaged into the rows, no training"),
        Contrast("gti", "description", "training instead of averaging, and its compute"),
    )

    def initialize(self, start: Start) -> Tensor:
        """Tokens to items to codes, in float64."""
        vectors = {}
        for item, fields in enumerate(start.item_texts):
            places = token_places(start, item_text(fields))
            if len(places):
                vectors[item] = start.text_rows[places].double().mean(dim=0)
        return mean_over_items(start, vectors)
