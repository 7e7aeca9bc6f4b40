"""Residual k-means as a setting has it beside faiss alone: the same runs, what comes on top.

`GTI_BENCH_EMBEDDINGS=100000x1024` takes embeddings of that shape, once each way, instead of
3000x256: 3 GB of memory and, with the further runs that show the memory of each, twenty minutes of
a free core. faiss runs on the CPU wherever the rest does.
"""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.perf.quantising import (
    CODES,
    LEVELS,
    SHAPE,
    SMALL,
    drawn_embeddings,
    faiss_alone,
    ours,
    peak_of,
)
from benchmarks.perf.side_by_side import SideBySide


def test_codes_are_those_of_faiss_alone(
    side_by_side: SideBySide, benchmark: Any, device: torch.device
) -> None:
    """Same codes before the last level, same error left; embeddings per second of both."""
    if device.type != "cpu":
        pytest.skip("faiss runs on the CPU")
    embeddings = drawn_embeddings()
    found: dict[str, Any] = {}

    def plain() -> None:
        found["plain"] = faiss_alone(embeddings)

    def fast() -> None:
        found["fast"] = ours(embeddings)

    items, dim = embeddings.shape
    small = SHAPE == SMALL
    side_by_side.run(
        benchmark,
        f"residual k-means, {items:,} × {dim:,}, {LEVELS} × {CODES}: against faiss alone",
        plain,
        fast,
        units=items,
        unit="embeddings",
        rounds=2 if small else 1,
        warm=small,
        peaks=(peak_of("plain"), peak_of("fast")),
    )
    (ids, report), (codes, error) = found["fast"], found["plain"]
    np.testing.assert_array_equal(ids.codes[:, :-1], codes[:, :-1])
    spread = np.square(embeddings - embeddings.mean(axis=0), dtype=np.float64).sum()
    assert report.relative_error[-1] == pytest.approx(error / spread, rel=1e-5)
