"""Quantisers: item embeddings → `SemanticIds`, by residual k-means with a unique last level."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gti.data.dataset import DataError, IntArray
from gti.data.semantic_ids import SemanticIds
from gti.quantise.report import Outcome, QuantiserReport, make_report, with_warnings

ITERATIONS = 50
"""Lloyd iterations of every k-means run."""
REDOS = 3
"""k-means runs per level, each from other starting points; the one of least distortion is kept."""
ROWS_AT_ONCE = 1024
"""Items whose distances to all codes are held at once, where they are assigned on their own."""


def residual_kmeans(
    embeddings: NDArray[np.float32],
    levels: int,
    codes: int,
    seed: int,
    description: dict[str, str],
) -> tuple[SemanticIds, QuantiserReport]:
    """Residual k-means: each level clusters what the levels before it left over.

    k-means is faiss's, on all items, in one thread, `ITERATIONS` iterations and `REDOS` runs per
    level; the same seed, faiss build and instruction set give the same codes. The last level is
    then assigned anew (`assign_distinct`). Where a level has no more distinct residuals than
    codes, each residual is a centroid of its own and the codes that are left over are zeros.

    Args:
        embeddings: [num_items, dim] float32.
        levels: codes per item, L.
        codes: codes per level, K.
        seed: the quantiser's own seed.
        description: facts about the embeddings to keep with the codes; the quantiser adds its own.

    Returns:
        The Semantic IDs, with the centroids [L, K, dim] as float16 codebooks, and the report.

    Raises:
        DataError: embeddings are not finite, not float32, do not fit float16, or are more than
            the K^L Semantic IDs there are.
        ValueError: levels or codes below 1, or `description` uses a key of the quantiser's.
    """
    own = {
        "quantiser": "residual k-means",
        "levels": str(levels),
        "codes": str(codes),
        "quantiser_seed": str(seed),
        "iterations": str(ITERATIONS),
        "redos": str(REDOS),
        "last_level": "minimum-cost distinct",
    }
    began = time.perf_counter()
    check_request(embeddings, levels, codes, own, description)
    nearest, centroids = _quantise(embeddings, levels, codes, seed)
    residual = _residual(embeddings, nearest[:, :-1], centroids[:-1])
    final = nearest.copy()
    final[:, -1] = assign_distinct(residual, nearest[:, :-1], centroids[-1])
    ids = SemanticIds(final, codes, as_float16(centroids), {**description, **own})
    report = _report(embeddings, centroids, nearest, ids, began)
    return with_warnings(ids, report), report


def principal_components(embeddings: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Reduces embeddings to their first principal components, largest variance first.

    The sign of a component is fixed by making its largest loading positive.

    Args:
        embeddings: [num_items, width] float32.
        dim: components kept, at most min(num_items, width).

    Returns:
        [num_items, dim] float32, centred.

    Raises:
        ValueError: more components than there are.
    """
    check_embeddings(embeddings)
    if not 1 <= dim <= min(embeddings.shape):
        raise ValueError(
            f"cannot keep {dim} components of {embeddings.shape[0]} embeddings of width"
            f" {embeddings.shape[1]}"
        )
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    kept = vectors[:, ::-1][:, :dim]
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(dim)])
    reduced: NDArray[np.float32] = (centred @ (kept * signs)).astype(np.float32)
    return reduced


def assign_distinct(
    residual: NDArray[np.float32], prefix: IntArray, centroids: NDArray[np.float32]
) -> IntArray:
    """[n] last codes that tell items of the same prefix apart at the least total distortion.

    Within each group of items with the same prefix it solves the assignment problem between items
    and codes for the squared distance. In a group of more items than codes every code gets an item
    of its own and the items left over keep their nearest code; the sum is the least possible too.

    Args:
        residual: [n, dim] what the levels before the last left over.
        prefix: [n, num_levels - 1] the codes before the last.
        centroids: [num_codes, dim] the last level's codebook.
    """
    from scipy.optimize import linear_sum_assignment

    assigned = np.empty(len(residual), dtype=np.int64)
    widened = centroids.astype(np.float64)
    groups = equal_rows(prefix)
    alone = np.concatenate([np.empty(0, np.int64), *(g for g in groups if len(g) == 1)])
    for start in range(0, len(alone), ROWS_AT_ONCE):
        members = alone[start : start + ROWS_AT_ONCE]
        assigned[members] = _squared_distances(residual[members], widened).argmin(axis=1)
    for members in (group for group in groups if len(group) > 1):
        distances = _squared_distances(residual[members], widened)
        nearest = distances.argmin(axis=1)
        assigned[members] = nearest
        if len(np.unique(nearest)) < len(members):
            # Excess over the nearest code: items that get no code of their own then cost nothing.
            excess = distances - distances[np.arange(len(members)), nearest][:, None]
            rows, columns = linear_sum_assignment(excess)
            assigned[members[rows]] = columns
    return assigned


def mean_residual_codebooks(
    codes: IntArray, num_codes: int, embeddings: NDArray[np.float32]
) -> NDArray[np.float16]:
    """Codebooks for codes that came without any: the mean residual of the items of each code.

    Level by level, a code's vector is the mean of its items' residuals, which is then taken off
    them for the next level. Codes that no item uses are zeros.

    Args:
        codes: [num_items, num_levels] int64.
        num_codes: codes per level, K.
        embeddings: [num_items, dim] float32 item embeddings.

    Returns:
        [num_levels, num_codes, dim] float16.

    Raises:
        DataError: embeddings are not finite, do not fit float16, or do not belong to the codes.
    """
    check_embeddings(embeddings)
    if len(codes) != len(embeddings):
        raise DataError(f"{len(codes)} items have codes but {len(embeddings)} have embeddings")
    residual = embeddings.astype(np.float64)
    codebooks = np.zeros((codes.shape[1], num_codes, embeddings.shape[1]))
    for level, column in enumerate(codes.T):
        counts = np.bincount(column, minlength=num_codes)
        np.add.at(codebooks[level], column, residual)
        codebooks[level] /= np.maximum(counts, 1)[:, None]
        residual -= codebooks[level][column]
    return as_float16(codebooks)


def with_mean_residuals(
    ids: SemanticIds, embeddings: NDArray[np.float32], description: dict[str, str]
) -> SemanticIds:
    """Codes that came without codebooks, with those of `mean_residual_codebooks`.

    Args:
        ids: the codes.
        embeddings: [num_items, dim] float32, of the same items in the same order.
        description: facts about the embeddings to keep with them.

    Raises:
        DataError: as `mean_residual_codebooks`.
        ValueError: `description` uses a key of theirs.
    """
    own = {**ids.description, "codebooks": "mean residuals"}
    if clash := sorted(own.keys() & description.keys()):
        raise ValueError(f"description must leave {', '.join(clash)} to the codes")
    codebooks = mean_residual_codebooks(ids.codes, ids.num_codes, embeddings)
    return replace(ids, codebooks=codebooks, description={**description, **own})


def check_request(
    embeddings: NDArray[np.float32],
    levels: int,
    codes: int,
    own: dict[str, str],
    description: dict[str, str],
) -> None:
    """Refuses what no quantiser can do.

    Raises:
        DataError: unusable embeddings, or more of them than there are Semantic IDs.
        ValueError: levels or codes below 1, or `description` uses a key of the quantiser's `own`.
    """
    if levels < 1 or codes < 1:
        raise ValueError(f"levels and codes must be at least 1, found {levels} and {codes}")
    if clash := sorted(own.keys() & description.keys()):
        raise ValueError(f"description must leave {', '.join(clash)} to the quantiser")
    check_embeddings(embeddings)
    if len(embeddings) > codes**levels:
        raise DataError(
            f"{len(embeddings)} items do not fit {codes}^{levels} = {codes**levels} Semantic IDs;"
            " take more levels or more codes per level"
        )


def check_embeddings(embeddings: NDArray[np.float32]) -> None:
    """Refuses embeddings that are not [num_items, dim] float32, not empty and finite."""
    if embeddings.ndim != 2 or embeddings.dtype != np.float32 or 0 in embeddings.shape:
        raise DataError(
            "embeddings must be [num_items, dim] float32 and not empty,"
            f" found {embeddings.dtype} of shape {embeddings.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise DataError(
            f"{len(bad)} embeddings hold NaN or infinite values, the first that of item {bad[0]};"
            " check the encoder and the item's text"
        )


def as_float16(codebooks: NDArray[np.floating]) -> NDArray[np.float16]:
    """Codebooks as they are stored; values that float16 cannot hold are refused."""
    limit = float(np.finfo(np.float16).max)
    largest = float(np.abs(codebooks).max())
    if largest > limit:
        raise DataError(
            f"codebooks are stored as float16 (at most {limit:g}), found {largest:g};"
            " scale the embeddings down, e.g. to unit length"
        )
    return codebooks.astype(np.float16)


def _quantise(
    embeddings: NDArray[np.float32], levels: int, codes: int, seed: int
) -> tuple[IntArray, NDArray[np.float32]]:
    """Nearest codes [n, L] and centroids [L, K, dim], level by level."""
    residual = np.ascontiguousarray(embeddings)
    assigned = np.empty((len(embeddings), levels), dtype=np.int64)
    centroids = np.empty((levels, codes, embeddings.shape[1]), dtype=np.float32)
    for level in range(levels):
        centroids[level], assigned[:, level] = kmeans(residual, codes, level_seed(seed, level))
        residual = residual - centroids[level][assigned[:, level]]
    return assigned, centroids


def level_seed(seed: int, level: int) -> int:
    """The seed of one level: they must differ, or each level would start from the same items."""
    return int(np.random.SeedSequence([seed, level]).generate_state(1)[0] >> 1)


def kmeans(
    points: NDArray[np.float32], codes: int, seed: int
) -> tuple[NDArray[np.float32], IntArray]:
    """Centroids [K, dim] and the nearest of them for each point [n]; faiss's, in one thread."""
    if not _more_distinct_than(points, codes):
        distinct, inverse = np.unique(points, axis=0, return_inverse=True)
        exact = np.zeros((codes, points.shape[1]), dtype=np.float32)
        exact[: len(distinct)] = distinct
        return exact, inverse.reshape(-1).astype(np.int64)
    import faiss

    with _one_faiss_thread():
        kmeans = faiss.Kmeans(
            points.shape[1],
            codes,
            niter=ITERATIONS,
            nredo=REDOS,
            seed=seed,
            min_points_per_centroid=1,
            max_points_per_centroid=len(points),
        )
        kmeans.train(points)
        centroids = np.array(kmeans.centroids, dtype=np.float32)
        _, nearest = kmeans.index.search(points, 1)
    return centroids, nearest[:, 0].astype(np.int64)


def _more_distinct_than(points: NDArray[np.float32], count: int) -> bool:
    """Whether `points` [n, dim] has more than `count` distinct rows; looks no further than that."""
    seen: set[bytes] = set()
    for point in points:
        seen.add((point + np.float32(0)).tobytes())  # −0 + 0 is 0: equal numbers, equal bytes
        if len(seen) > count:
            return True
    return False


@contextmanager
def _one_faiss_thread() -> Iterator[None]:
    """One thread inside faiss: sums in a fixed order, whatever the number of cores."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _residual(
    embeddings: NDArray[np.float32], codes: IntArray, centroids: NDArray[np.float32]
) -> NDArray[np.float32]:
    """[n, dim] embeddings less the centroids of `codes` [n, l], taken off in order of level."""
    residual = embeddings
    for level, column in enumerate(codes.T):
        residual = residual - centroids[level][column]
    return residual


def equal_rows(prefix: IntArray) -> list[IntArray]:
    """The row numbers of each group of equal rows of `prefix` (one group if it has no column)."""
    _, inverse = np.unique(prefix, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1) if prefix.shape[1] else np.zeros(len(prefix), dtype=np.int64)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)


def _squared_distances(
    points: NDArray[np.float32], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[n, K] squared Euclidean distances in float64."""
    from scipy.spatial.distance import cdist

    return cdist(points.astype(np.float64), centroids, "sqeuclidean")


def _squared_sum(values: NDArray[np.float32]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _report(
    embeddings: NDArray[np.float32],
    centroids: NDArray[np.float32],
    nearest: IntArray,
    ids: SemanticIds,
    began: float,
) -> QuantiserReport:
    spread = _squared_sum(embeddings - embeddings.mean(axis=0, dtype=np.float64))
    residual = embeddings
    errors: list[float] = []
    for level, column in enumerate(nearest.T):
        residual = residual - centroids[level][column]
        errors.append(_squared_sum(residual))
    final_error = _squared_sum(_residual(embeddings, ids.codes, centroids))
    return make_report(Outcome(ids, nearest, errors, final_error, spread, began))
