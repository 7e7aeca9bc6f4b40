"""`codebook`: the quantiser's codebook vectors, lifted to the width of the matrix."""

import torch
from torch import Tensor

from gti.initializers import lift, mean_rows
from gti.method import Look, Method, MethodError, Start


class Codebook(Method):
    """Structure without language: rows relate as the codes do, and mean nothing to the model.

    A random orthonormal map keeps every cosine, so RSA against the codebooks is 1 by construction.
    Every row gets the mean norm of the text rows: residual vectors shrink from level to level,
    which says how well the quantiser did, not how long a row should be. The mean text row is not
    added, so that `random_matched` differs in structure alone; a zero vector (no items) gets it.
    """

    key = "codebook"
    summary = "codebook vectors, rotated at random, norms matched"
    source = "ours: the structure that arXiv 2604.02324 measures by RSA"
    group = "initialization"
    parent = "mean"
    order = 12
    look = Look("purple", 1)

    def initialize(self, start: Start) -> Tensor:
        """Lift, then scale, in float64; the map comes from the stream `init`."""
        if start.semantic_ids.codebooks is None:
            raise MethodError(
                "method 'codebook' needs codebook vectors, and these Semantic IDs have none"
                " (published indices hold codes alone): leave the method out, or take a setting"
                " that names an encoder of the item texts, whose vectors then give codebooks"
            )
        vectors = torch.from_numpy(start.semantic_ids.codebooks).double().flatten(0, 1)
        rows = lift(vectors, start.width, start.generator)
        norms = rows.norm(dim=1, keepdim=True)
        scaled = rows / norms * start.text_rows.double().norm(dim=1).mean()
        return torch.where(norms > 0, scaled, mean_rows(start)).float()
