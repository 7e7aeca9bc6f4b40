"""Residual k-means as a setting has it beside faiss alone: the same runs, what comes on top.

With `GTI_BENCH_EMBEDDINGS=100000x1024` it takes embeddings of that shape, else of 3000x256. Large
ones need 3 GB of memory and, once each way (`--benchmark-disable`), ten minutes of a free core.
"""

import os
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.perf.side_by_side import SideBySide
from gti.dataset import IntArray
from gti.quantisers import ITERATIONS, REDOS, level_seed, residual_kmeans

LEVELS, CODES = 4, 256
SEED = 0
SMALL = "3000x256"


def drawn_embeddings() -> NDArray[np.float32]:
    """[items, dim] unit vectors around twice as many centres as a level has codes."""
    items, dim = map(int, os.environ.get("GTI_BENCH_EMBEDDINGS", SMALL).split("x"))
    drawn = np.random.default_rng(0)
    centres = drawn.standard_normal((2 * CODES, dim), dtype=np.float32)
    embeddings = drawn.standard_normal((items, dim), dtype=np.float32)
    embeddings += centres[drawn.integers(2 * CODES, size=items)]
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings


def faiss_alone(embeddings: NDArray[np.float32]) -> tuple[IntArray, float]:
    """Nearest codes [items, LEVELS] and the squared error they leave; as many runs, in one thread.

    Each level trains on all residuals, finds the nearest centroids and takes them off: nothing is
    told apart, checked or reported.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    residual, codes = embeddings, []
    for level in range(LEVELS):
        kmeans = faiss.Kmeans(
            embeddings.shape[1],
            CODES,
            niter=ITERATIONS,
            nredo=REDOS,
            seed=level_seed(SEED, level),
            min_points_per_centroid=1,
            max_points_per_centroid=len(embeddings),
        )
        kmeans.train(residual)
        _, nearest = kmeans.index.search(residual, 1)
        residual = residual - np.array(kmeans.centroids, dtype=np.float32)[nearest[:, 0]]
        codes.append(nearest[:, 0])
    faiss.omp_set_num_threads(threads)
    return np.stack(codes, axis=1), float(np.square(residual, dtype=np.float64).sum())


def test_codes_are_those_of_faiss_alone(side_by_side: SideBySide, benchmark: Any) -> None:
    """Same codes before the last level, same error left; embeddings per second of both."""
    embeddings = drawn_embeddings()
    found: dict[str, Any] = {}

    def plain() -> None:
        found["plain"] = faiss_alone(embeddings)

    def fast() -> None:
        found["fast"] = residual_kmeans(embeddings, LEVELS, CODES, SEED, {})

    items, dim = embeddings.shape
    side_by_side.run(
        benchmark,
        f"residual k-means, {items:,} × {dim:,}, {LEVELS} × {CODES}: against faiss alone",
        plain,
        fast,
        units=items,
        unit="embeddings",
        rounds=2,
    )
    (ids, report), (codes, error) = found["fast"], found["plain"]
    np.testing.assert_array_equal(ids.codes[:, :-1], codes[:, :-1])
    spread = np.square(embeddings - embeddings.mean(axis=0), dtype=np.float64).sum()
    assert report.relative_error[-1] == pytest.approx(error / spread, rel=1e-5)
