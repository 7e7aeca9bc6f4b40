"""`noisy_mean`: the mean of the text rows and noise, the default of LLaMA-Factory."""

from torch import Tensor

from gti.initializers import noisy_mean_rows
from gti.method import Contrast, Look, Method, Start


class NoisyMean(Method):
    """Every new row on the mean, moved by noise whose length is about 1 whatever the width.

    Against `mean`: is it enough that rows differ around that same mean? How far they lie apart
    follows from the width alone, not from the text rows as in `gaussian` and `random_matched`.
    LLaMA-Factory's mean goes over all old rows, padding included; here over the text rows.
    """

    key = "noisy_mean"
    summary = "the mean of the text rows plus noise from N(0, 1/d)"
    source = "LLaMA-Factory, `noise_init` of model_utils/embedding.py, its default"
    group = "initialization"
    parent = "mean"
    first_rows = "drawn"
    order = 21
    look = Look("black", 2)
    question = "Is it only that the rows differ?"
    contrasts = (Contrast("noisy_mean", "mean", "rows that differ by noise of length 1"),)

    def initialize(self, start: Start) -> Tensor:
        """Independent draws from the stream `init`, of standard deviation 1/√d."""
        return noisy_mean_rows(start)
