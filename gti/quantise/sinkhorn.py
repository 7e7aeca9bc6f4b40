"""Sinkhorn on the last level: spreads items over its codes, so that fewer of them collide."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gti.data.dataset import IntArray
from gti.quantise.kmeans import assign_distinct, equal_rows

ROUNDS = 20
"""Rounds of spreading colliding items; a round may put items where others are already."""
LEAST_EPSILON = 0.003
"""exp(-2 / epsilon), the least entry of the kernel, must not underflow in float64."""
_SIDE_BY_SIDE = 1024
_TINY = float(np.finfo(np.float64).tiny)


def sinkhorn_plan(distances: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The entropic transport plan between items and codes, each code taking an equal share.

    Distances are first mapped linearly onto [-1, 1], which makes `epsilon` free of scale; then
    rows and columns are normalised in turn, columns last (Cuturi, arXiv 1306.0895; on the last
    level of Semantic IDs: LC-Rec, arXiv 2311.09049, its public code). Computed as two vectors that
    scale the kernel, in float64.

    Args:
        distances: [..., n, num_codes] squared distances; leading dimensions are problems apart.
        epsilon: the regulariser's weight, at least `LEAST_EPSILON`.
        iterations: normalisations of rows and columns.

    Returns:
        [..., n, num_codes] float64: columns sum to n / num_codes; rows to 1, but for what the last
        iterations left.
    """
    items, codes = distances.shape[-2:]
    distances = distances.double()
    farthest, nearest = distances.amax((-2, -1), keepdim=True), distances.amin(-1, keepdim=True)
    extent = (farthest - nearest.amin(-2, keepdim=True)).clamp_min(_TINY)
    # A shift of a row is taken up by its scale, and keeps the row's largest entry at 1.
    kernel = torch.exp((distances - nearest) / extent * (-2 / epsilon))
    of_codes = torch.ones_like(distances[..., :1, :].mT)
    for _ in range(iterations):
        of_items = 1 / (kernel @ of_codes).clamp_min(_TINY)
        of_codes = (items / codes) / (kernel.mT @ of_items).clamp_min(_TINY)
    return of_items * kernel * of_codes.mT


def balanced_codes(distances: Tensor, epsilon: float, iterations: int) -> Tensor:
    """[..., n] the code that takes most of each item in the plan of `distances` [..., n, K]."""
    return sinkhorn_plan(distances, epsilon, iterations).argmax(dim=-1)


def spread_collisions(
    residual: NDArray[np.float32],
    codes: IntArray,
    codebook: NDArray[np.float32],
    epsilon: float,
    iterations: int,
) -> IntArray:
    """[n] last codes after Sinkhorn has spread the items that share a Semantic ID.

    As LC-Rec's public code does it: each group of items with one and the same Semantic ID is
    balanced over all codes of the last level, by itself; that is repeated for the groups which
    this makes, `ROUNDS` times at most. Items of equal residuals cannot be told apart so, and items
    can be sent to and fro; the round of fewest collisions counts (there: the last one).

    Args:
        residual: [n, dim] what the levels before the last left over.
        codes: [n, num_levels] nearest codes.
        codebook: [num_codes, dim] the last level's.
        epsilon: of `sinkhorn_plan`.
        iterations: of `sinkhorn_plan`.
    """
    points, centres = torch.from_numpy(residual).double(), torch.from_numpy(codebook).double()
    codes = codes.copy()
    best, distinct = codes[:, -1].copy(), len(np.unique(codes, axis=0))
    for _ in range(ROUNDS):
        if distinct == len(codes):
            break
        groups: dict[int, list[IntArray]] = {}
        for members in equal_rows(codes):
            groups.setdefault(len(members), []).append(members)
        for size, alike in groups.items():
            # Groups of one size are balanced side by side, which is several times faster.
            for start in range(0, len(alike) if size > 1 else 0, _SIDE_BY_SIDE):
                rows = np.stack(alike[start : start + _SIDE_BY_SIDE])
                distances = squared_distances(points[torch.from_numpy(rows)], centres)
                codes[rows, -1] = balanced_codes(distances, epsilon, iterations).numpy()
        found = len(np.unique(codes, axis=0))
        if found > distinct:
            best, distinct = codes[:, -1].copy(), found
    return best


def settle_collisions(
    residual: NDArray[np.float32], codes: IntArray, codebook: NDArray[np.float32]
) -> IntArray:
    """[n] last codes: groups of one prefix that still hold a collision are assigned anew.

    By `quantisers.assign_distinct`; the other groups keep their codes.

    Args:
        residual: [n, dim] what the levels before the last left over.
        codes: [n, num_levels] codes that may collide.
        codebook: [num_codes, dim] the last level's.
    """
    last = codes[:, -1].copy()
    for members in equal_rows(codes[:, :-1]):
        if len(np.unique(last[members])) < len(members):
            last[members] = assign_distinct(residual[members], codes[members, :-1], codebook)
    return last


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """[..., n, K] squared distances of `points` [..., n, dim] to `centres` [K, dim]."""
    cross = centres.square().sum(dim=1) - 2 * (points @ centres.T)
    return cross + points.square().sum(dim=-1, keepdim=True)
