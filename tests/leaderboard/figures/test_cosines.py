"""Pictures of matrices, decoded by hand and compared with slow means of blocks."""

import struct
import zlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from leaderboard.figures import cosines
from leaderboard.figures.cosines import ANCHORS, palette, picture


def pixels(content: bytes) -> NDArray[np.uint8]:
    """[m, m, 3] of a PNG with indexed colours and unfiltered rows, decoded by its specification."""
    parts: dict[bytes, bytes] = {}
    place = 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind = content[place + 4 : place + 8]
        parts[kind] = parts.get(kind, b"") + content[place + 8 : place + 8 + length]
        place += length + 12
    width, height, depth, colors = struct.unpack_from(">IIBB", parts[b"IHDR"])
    assert colors == 3
    colours = np.frombuffer(parts[b"PLTE"], dtype=np.uint8).reshape(-1, 3)
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), dtype=np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    bits = np.unpackbits(rows[:, 1:], axis=1)[:, : width * depth].reshape(height, width, depth)
    indices = bits @ (1 << np.arange(depth)[::-1])
    return colours[indices]


@given(st.integers(1, 40), st.integers(1, 15))
def test_a_large_matrix_shrinks_to_the_means_of_its_blocks(size: int, most: int) -> None:
    matrix = np.random.default_rng(size).uniform(-1, 1, size=(size, size)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cosines, "MOST_PIXELS", most)
        found = pixels(picture(matrix))
    block = next(k for k in range(1, size + 1) if -(-size // k) <= most)
    starts = range(0, size, block)
    means = [
        float(np.mean(matrix[i : i + block, j : j + block].astype(np.float64)))
        for i, j in product(starts, starts)
    ]
    expected = palette()[np.round((np.array(means) + 1) * 50).astype(int)].astype(int)
    assert len(found) == len(starts) <= most
    # One shade more or less where a mean lies between two.
    assert np.abs(found.reshape(-1, 3).astype(int) - expected).max() <= 12


def test_the_picture_shows_the_matrix_on_the_scale_from_minus_one_to_one() -> None:
    matrix = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.5], [-1.0, 0.5, 1.0]], dtype=np.float32)
    content = picture(matrix)
    shown = pixels(content)
    red, white, blue = (
        [int(anchor[i : i + 2], 16) for i in (1, 3, 5)] for anchor in (ANCHORS[-1], *ANCHORS[5::-5])
    )
    assert shown[0, 0].tolist() == red
    assert shown[0, 1].tolist() == white
    assert shown[0, 2].tolist() == blue
    assert shown[1, 2].tolist() == palette()[75].tolist()
    assert content == picture(matrix.copy())


def test_a_picture_of_a_large_matrix_stays_small() -> None:
    matrix = np.random.default_rng(0).uniform(-1, 1, size=(512, 512)).astype(np.float32)
    assert len(picture(matrix)) < 20_000
