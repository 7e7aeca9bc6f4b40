"""Pictures of matrices, read back by another library and compared with slow means of blocks."""

import io
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.figures.matrices import ANCHORS, matrix_png, palette, shrunk


@given(st.integers(1, 40), st.integers(1, 15))
def test_a_large_matrix_shrinks_to_the_means_of_its_blocks(size: int, most: int) -> None:
    matrix = np.random.default_rng(size).uniform(-1, 1, size=(size, size)).astype(np.float32)
    found = shrunk(matrix, most)
    block = next(k for k in range(1, size + 1) if -(-size // k) <= most)
    starts = range(0, size, block)
    expected = [
        float(np.mean(matrix[i : i + block, j : j + block].astype(np.float64)))
        for i, j in product(starts, starts)
    ]
    assert len(found) == len(starts) <= most
    assert found.ravel() == pytest.approx(expected)


def test_the_picture_shows_the_matrix_on_the_scale_from_minus_one_to_one() -> None:
    image = pytest.importorskip("matplotlib.image")
    matrix = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.5], [-1.0, 0.5, 1.0]], dtype=np.float32)
    content = matrix_png(matrix)
    shown = np.round(image.imread(io.BytesIO(content))[:, :, :3] * 255).astype(int)
    red, white, blue = (
        [int(anchor[i : i + 2], 16) for i in (1, 3, 5)] for anchor in (ANCHORS[-1], *ANCHORS[5::-5])
    )
    assert shown[0, 0].tolist() == red
    assert shown[0, 1].tolist() == white
    assert shown[0, 2].tolist() == blue
    assert shown[1, 2].tolist() == palette()[75].tolist()
    assert content == matrix_png(matrix.copy())


def test_a_picture_of_a_large_matrix_stays_small() -> None:
    matrix = np.random.default_rng(0).uniform(-1, 1, size=(512, 512)).astype(np.float32)
    assert len(matrix_png(matrix)) < 20_000
