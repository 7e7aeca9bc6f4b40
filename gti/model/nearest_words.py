"""The words whose rows of the embedding matrix lie nearest, by cosine, to other rows.

A word is a text token that decodes, spaces stripped, to printable text with a letter; tokens that
differ in spaces or case only are one word, shown in its nearest form.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

NEAREST_WORDS = 5
"""Words listed for each row."""
BLOCK = 4096
"""Text rows per block of the product of new rows and text rows."""


def as_word(text: str) -> str:
    """`text` without surrounding spaces if it is a printable word with a letter, else empty."""
    word = text.strip()
    shown = word.isprintable() and "\ufffd" not in word
    return word if shown and any(character.isalpha() for character in word) else ""


def nearest_text(
    rows: FloatArray, text_rows: NDArray[np.floating], words: Sequence[str]
) -> tuple[float | None, list[tuple[str, ...]]]:
    """Affinity to text, and the nearest words of each row.

    Args:
        rows: [n, dim] new rows.
        text_rows: [V, dim] rows of the text tokens.
        words: [V] the text tokens as words; empty for those that are none.

    Returns:
        The mean over the rows (zeros left out) of the largest cosine to any text row, null if
        there is no such row; and [n] up to `NEAREST_WORDS` words, of largest cosine first.
    """
    units = unit_rows(rows)
    best = np.full(len(rows), -np.inf)
    no_word = np.array([not word for word in words])
    found_cosines, found_tokens = [], []
    for start in range(0, len(text_rows), BLOCK):
        cosines = units @ unit_rows(text_rows[start : start + BLOCK]).T
        np.maximum(best, cosines.max(axis=1), out=best)
        cosines[:, no_word[start : start + BLOCK]] = -np.inf
        # Several tokens can be one word in other spaces or case: keep enough for five that differ.
        keep = min(4 * NEAREST_WORDS, cosines.shape[1])
        top = np.argpartition(cosines, -keep, axis=1)[:, -keep:]
        found_cosines.append(np.take_along_axis(cosines, top, axis=1))
        found_tokens.append(top + start)
    cosines, tokens = np.hstack(found_cosines), np.hstack(found_tokens)
    nonzero = np.any(rows != 0, axis=1)
    nearest = [
        _different_words(tokens[row][np.lexsort((tokens[row], -cosines[row]))], words)
        if nonzero[row]
        else ()
        for row in range(len(rows))
    ]
    return (float(best[nonzero].mean()) if nonzero.any() else None), nearest


def unit_rows(rows: NDArray[np.floating]) -> FloatArray:
    """[n, dim] rows at unit length; rows of zeros stay zero."""
    rows = np.asarray(rows, dtype=np.float64)
    norms = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return rows / np.where(norms > 0, norms, 1.0)


def _different_words(tokens: NDArray[np.int64], words: Sequence[str]) -> tuple[str, ...]:
    """The first `NEAREST_WORDS` words of `tokens` that differ in more than case."""
    different: dict[str, str] = {}
    for word in (words[token] for token in tokens):
        if word:
            different.setdefault(word.casefold(), word)
    return tuple(different.values())[:NEAREST_WORDS]
