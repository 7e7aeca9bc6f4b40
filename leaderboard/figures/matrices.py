"""Cosine matrices as small PNG files on one colour scale, and their frames on the page.

The scale is ColorBrewer's RdBu (Brewer 2002), told apart by the colour-blind: blue -1, red 1.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from leaderboard.figures.svg import image, number, tag

MOST_PIXELS = 128
"""Along a side; larger matrices are drawn by the means of blocks of cosines."""
SHADES = 101
"""Steps from -1 to 1, so .02 each: what an eye cannot tell apart need not be stored."""

ANCHORS = (
    *("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
    *("#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"),
)

Floats = npt.NDArray[np.floating]


def palette() -> npt.NDArray[np.uint8]:
    """[SHADES, 3] red, green and blue of the scale."""
    anchors = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in ANCHORS], dtype=float)
    places = np.linspace(0, len(ANCHORS) - 1, SHADES)
    columns = [np.interp(places, np.arange(len(ANCHORS)), anchors[:, i]) for i in range(3)]
    return np.round(np.stack(columns, axis=1)).astype(np.uint8)


def shrunk(matrix: Floats, most: int = MOST_PIXELS) -> npt.NDArray[np.float64]:
    """`matrix` [m, m] by means of blocks of k × k, the least k that leaves at most `most` rows.

    The last blocks are smaller where k does not divide m.
    """
    size = len(matrix)
    block = max(1, -(-size // most))
    starts = np.arange(0, size, block)
    sums = np.add.reduceat(np.add.reduceat(matrix.astype(np.float64), starts, 0), starts, 1)
    counts = np.diff([*starts, size])
    return np.asarray(sums / np.outer(counts, counts))


def matrix_png(matrix: Floats) -> bytes:
    """`matrix` [m, m], values in [-1, 1], as a PNG with indexed colours."""
    values = shrunk(matrix)
    shades = np.round((np.clip(values, -1, 1) + 1) / 2 * (SHADES - 1)).astype(np.uint8)
    size = len(shades)
    # Each row of a PNG begins with the number of its filter; 0 is none.
    rows = np.hstack([np.zeros((size, 1), dtype=np.uint8), shades])
    header = struct.pack(">IIBBBBB", size, size, 8, 3, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette().tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def draw_matrix(
    source: str, name: str, description: str, edges: Sequence[int], names: Sequence[str]
) -> Markup:
    """A matrix's picture with the boundaries and names of its blocks.

    Args:
        source: the picture's address.
        name: what it is of.
        description: what it shows.
        edges: [B + 1] where blocks begin and the last ends, in rows of the matrix.
        names: [B] of the blocks.
    """
    side, margin = 140.0, 24.0
    scale = side / max(edges[-1], 1)
    parts = [
        tag(
            "image",
            href=source,
            x=margin,
            y=margin - 8,
            width=side,
            height=side,
            preserveAspectRatio="none",
        )
    ]
    for edge in edges[1:-1]:
        x, y = margin + edge * scale, margin - 8 + edge * scale
        path = (
            f"M{number(x)} {number(margin - 8)}v{number(side)}M{number(margin)} {number(y)}"
            f"h{number(side)}"
        )
        parts.append(tag("path", class_="edge", d=path))
    for low, high, text in zip(edges[:-1], edges[1:], names, strict=True):
        middle = (low + high) / 2 * scale
        parts.append(
            tag("text", text, class_="tick", x=margin + middle, y=11, text_anchor="middle")
        )
        parts.append(
            tag("text", text, class_="tick", x=margin - 3, y=margin - 5 + middle, text_anchor="end")
        )
    size = side + margin + 2
    return image(size, size - 8, name, description, *parts, class_="matrix")
