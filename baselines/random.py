"""`random`: independent normal rows, as GPT-2 style models start from scratch."""

import torch
from torch import Tensor

from gti.method import Contrast, Look, Method, Start


class Random(Method):
    """Keeps the new rows apart, but off the manifold of the old ones."""

    key = "random"
    summary = "each new row drawn from N(0, 0.02²)"
    source = "the usual initializer_range of transformer LMs (Radford et al. 2019)"
    group = "core"
    parent = "mean"
    first_rows = "drawn"
    order = 2
    look = Look("orange")
    question = "Is it only that the rows differ?"
    contrasts = (Contrast("random", "mean", "rows that differ, drawn at N(0, 0.02²)"),)

    def initialize(self, start: Start) -> Tensor:
        """Independent draws from the stream `init`."""
        return 0.02 * torch.randn(start.num_new, start.width, generator=start.generator)
