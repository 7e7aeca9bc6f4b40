"""`gaussian`: rows drawn from the normal distribution fitted to the text rows."""

import torch
from torch import Tensor

from gti.method import Look, Method, Start


class Gaussian(Method):
    """On the manifold as far as two moments describe it, and all rows different.

    Isolates difference from meaning: rows look like text rows, but which row looks how is chance.
    Σ is used as it is; Hewitt's code takes 1e-5 Σ and transformers 1e-9 Σ, which are `mean` in all
    but name. Σ = centred rows' second moment over their number, as there. It may be singular.
    """

    key = "gaussian"
    summary = "each new row drawn from N(μ, Σ) of the text rows"
    source = "Hewitt 2021, 'Initializing New Word Embeddings for Pretrained Language Models'"
    group = "initialization"
    parent = "mean"
    first_rows = "drawn"
    order = 9
    look = Look("orange", 2)

    def initialize(self, start: Start) -> Tensor:
        """μ + z Σ^½ in float64; z from the stream `init`."""
        text = start.text_rows.double()
        mean = text.mean(dim=0)
        centred = text - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(text))
        # The symmetric root exists for any Σ and, unlike a Cholesky factor or the eigenvectors'
        # signs, is the same from every linear-algebra library.
        root = vectors * values.clamp(min=0).sqrt() @ vectors.T
        shape = (start.num_new, start.width)
        draws = torch.randn(shape, generator=start.generator, dtype=torch.float64)
        rows: Tensor = mean + draws @ root
        return rows.float()
