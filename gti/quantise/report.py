"""`QuantiserReport`: how well a quantiser did, in numbers that compare quantisers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gti.data.dataset import DataError, IntArray
from gti.data.semantic_ids import SemanticIds

COLLAPSED_BELOW = 0.1
"""A level whose nearest codes use less than this share of its codes is reported as collapsed."""
COLLAPSED = "collapsed"
"""Key of a description under which Semantic IDs carry the warnings of such levels."""


@dataclass(frozen=True)
class QuantiserReport:
    """How well a quantiser did.

    "Nearest" is each item on the nearest code of each level; "balanced" is after Sinkhorn spread
    colliding items over the last level; "final" is after the last level was assigned anew so that
    items are told apart. What a quantiser does not do, or published indices do not tell, is null.

    Attributes:
        relative_error: [num_levels] squared error left after levels 0…l, nearest codes, as a share
            of the items' squared distance from their mean (0 where all items are equal): of the
            sum of the codes' vectors for k-means and published indices, of what the decoder makes
            of that sum for an RQ-VAE.
        relative_error_final: the same after the last level, final codes.
        used_codes: [num_levels] final codes in use.
        perplexity: [num_levels] exp of the entropy (nats) of the final codes' usage.
        collision_rate_nearest: 1 - distinct Semantic IDs / items, nearest codes.
        collision_rate_balanced: the same after Sinkhorn.
        collision_rate: the same, final codes.
        items_moved: items whose last code is not their nearest one.
        items_over_capacity: items left on a shared Semantic ID because more than `num_codes` items
            share the codes before the last.
        warnings: one sentence per level that collapsed.
        seconds: what the quantiser took, embeddings given.
    """

    relative_error: tuple[float, ...]
    relative_error_final: float
    used_codes: tuple[int, ...]
    perplexity: tuple[float, ...]
    collision_rate_nearest: float | None
    collision_rate: float
    items_moved: int | None
    items_over_capacity: int
    warnings: tuple[str, ...]
    seconds: float | None = None
    collision_rate_balanced: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a quantiser hands over to be reported.

    Attributes:
        ids: the final Semantic IDs.
        nearest: [num_items, num_levels] nearest codes, or null where they are not known.
        errors: [num_levels] squared error left after each level, nearest codes.
        error_final: the same after the last level, final codes.
        spread: the items' squared distance from their mean.
        began: `time.perf_counter()` when the quantiser began.
        balanced: [num_items, num_levels] codes after Sinkhorn, or null.
    """

    ids: SemanticIds
    nearest: IntArray | None
    errors: Sequence[float]
    error_final: float
    spread: float
    began: float | None
    balanced: IntArray | None = None


def make_report(outcome: Outcome) -> QuantiserReport:
    """The report of what a quantiser did; its clock stops here."""
    ids, nearest, spread = outcome.ids, outcome.nearest, outcome.spread
    told = ids.codes if nearest is None else nearest
    # A level before the first that all items share: NumPy counts no rows that have no column.
    prefix = np.pad(ids.codes[:, :-1], ((0, 0), (1, 0)))
    _, sizes = np.unique(prefix, axis=0, return_counts=True)
    return QuantiserReport(
        relative_error=tuple(error / spread if spread else 0.0 for error in outcome.errors),
        relative_error_final=outcome.error_final / spread if spread else 0.0,
        used_codes=ids.used_per_level,
        perplexity=tuple(perplexity(ids.codes[:, level]) for level in range(ids.num_levels)),
        collision_rate_nearest=None if nearest is None else collision_rate(nearest),
        collision_rate_balanced=(
            None if outcome.balanced is None else collision_rate(outcome.balanced)
        ),
        collision_rate=ids.collision_rate,
        items_moved=None if nearest is None else int((nearest[:, -1] != ids.codes[:, -1]).sum()),
        items_over_capacity=int(np.maximum(sizes - ids.num_codes, 0).sum()),
        warnings=tuple(
            f"level {level} collapsed: items are nearest to {used} of its {ids.num_codes} codes"
            for level, used in enumerate(len(np.unique(column)) for column in told.T)
            if used < COLLAPSED_BELOW * ids.num_codes
        ),
        seconds=None if outcome.began is None else time.perf_counter() - outcome.began,
    )


def with_warnings(ids: SemanticIds, report: QuantiserReport) -> SemanticIds:
    """`ids` with the report's warnings in their description; as they are where there are none.

    Which codes were nearest cannot be told from the codes: the last level is assigned anew.
    """
    if not report.warnings:
        return ids
    return replace(ids, description={**ids.description, COLLAPSED: "; ".join(report.warnings)})


def report_of_codes(ids: SemanticIds, embeddings: NDArray[np.float32]) -> QuantiserReport:
    """A report on codes whose making is not known, such as published indices.

    A code's vector is the mean residual of its items (`quantisers.mean_residual_codebooks`), so
    the error is the least that sums of one vector per code leave, taken level by level.

    Args:
        ids: the Semantic IDs.
        embeddings: [num_items, dim] float32, of the same items in the same order.

    Raises:
        DataError: there is not one embedding per item.
    """
    if len(embeddings) != ids.num_items:
        raise DataError(f"{ids.num_items} items have codes but {len(embeddings)} have embeddings")
    residual = embeddings.astype(np.float64)
    spread = float(np.square(residual - residual.mean(axis=0)).sum())
    errors = []
    for column in ids.codes.T:
        sums = np.zeros((ids.num_codes, residual.shape[1]))
        np.add.at(sums, column, residual)
        counts = np.bincount(column, minlength=ids.num_codes)
        residual = residual - (sums / np.maximum(counts, 1)[:, None])[column]
        errors.append(float(np.square(residual).sum()))
    return make_report(Outcome(ids, None, errors, errors[-1], spread, None))


def collision_rate(codes: IntArray) -> float:
    """1 - distinct rows / rows of `codes` [num_items, num_levels]."""
    return 1.0 - len(np.unique(codes, axis=0)) / len(codes)


def perplexity(codes: IntArray) -> float:
    """Exp of the entropy (nats) of how often each of `codes` [num_items] is used."""
    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(np.exp(-(shares * np.log(shares)).sum()))
