"""Residual k-means by faiss alone and as a setting has it, and the memory that each takes.

`python -m benchmarks.perf.quantising plain` (or `fast`) quantises once and prints the bytes that
its process held at the peak above those held before. faiss allocates where neither torch nor
Python sees it, so the operating system is asked: on Linux alone.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from gti.data.dataset import IntArray
from gti.quantise.kmeans import ITERATIONS, REDOS, level_seed, residual_kmeans

LEVELS, CODES = 4, 256
SEED = 0
SMALL = "3000x256"
SHAPE = os.environ.get("GTI_BENCH_EMBEDDINGS", SMALL)


def drawn_embeddings(shape: str = SHAPE) -> NDArray[np.float32]:
    """[items, dim] unit vectors around twice as many centres as a level has codes."""
    items, dim = map(int, shape.split("x"))
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


def ours(embeddings: NDArray[np.float32]) -> Any:
    """`residual_kmeans` of the same shape and seed: Semantic IDs and report."""
    return residual_kmeans(embeddings, LEVELS, CODES, SEED, {})


WAYS = {"plain": faiss_alone, "fast": ours}


def _held(name: str) -> int:
    """Bytes of this process: "VmRSS", now, or "VmHWM", the most there were."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def peak_of(way: str) -> int | None:
    """Bytes at the peak of "plain" or "fast" in a process of its own; null where it is unknown."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-m", "benchmarks.perf.quantising", way]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    """Measures the way that is named."""
    work = WAYS[sys.argv[1]]
    work(drawn_embeddings(f"{CODES + 1}x8"))  # loads what it needs
    embeddings = drawn_embeddings()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _held("VmRSS")
    work(embeddings)
    print(_held("VmHWM") - before)


if __name__ == "__main__":
    main()
