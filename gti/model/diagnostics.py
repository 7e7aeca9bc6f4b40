"""Diagnostics of the new rows: spectrum, cosines, RSA against the codebooks, nearest words.

Everything is computed in float64 on the rows of codes that some item uses. A number that is not
defined (too few rows, rows all equal, no codebooks) is null. Cosines are plain, not centred; a row
of zeros has none and is left out of whatever rests on them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gti.data.semantic_ids import SemanticIds
from gti.model.nearest_words import NEAREST_WORDS, as_word, nearest_text, unit_rows

FloatArray = NDArray[np.float64]

SHOWN_ROWS = 64
"""At most as many new rows of each level stand in the cosine matrix."""
SHOWN_TEXT_ROWS = 16
"""As many rows of words stand beside them."""
COSINE_DECIMALS = 13
"""Cosines are rounded to this many decimals for RSA, so that rounding errors break no ties."""
MIN_COSINE_STD = 1e-13
"""RSA is undefined where the cosines' standard deviation is not above this (rows all equal)."""


@dataclass(frozen=True)
class DiagnosticNumbers:
    """The numbers of one stage's new rows.

    Attributes:
        num_rows: new rows in all, those of unused codes included.
        unused_rows: rows of codes that no item uses; left out of everything below.
        effective_rank: see `effective_rank`, of the rows as they are.
        effective_rank_centred: the same of the rows less their mean; null where all are equal.
        stable_rank: see `stable_rank`.
        norm_mean: mean Euclidean norm.
        cosine_mean: mean cosine over all pairs of different rows.
        cosine_within_level: [num_levels] mean over the pairs of one level.
        cosine_across_levels: mean over the pairs of different levels.
        rsa_pearson: see `rsa`; pooled: over all pairs of rows, those of different levels included,
            as in the GTI paper's single coefficient (arXiv 2604.02324).
        rsa_spearman: the same, Spearman.
        rsa_pearson_per_level: [num_levels] over the pairs of one level.
        rsa_spearman_per_level: the same, Spearman.
        text_affinity: mean over the rows of the largest cosine to any text row.
    """

    num_rows: int
    unused_rows: int
    effective_rank: float | None
    effective_rank_centred: float | None
    stable_rank: float | None
    norm_mean: float
    cosine_mean: float | None
    cosine_within_level: tuple[float | None, ...]
    cosine_across_levels: float | None
    rsa_pearson: float | None
    rsa_spearman: float | None
    rsa_pearson_per_level: tuple[float | None, ...]
    rsa_spearman_per_level: tuple[float | None, ...]
    text_affinity: float | None


def diagnose(
    new_rows: NDArray[np.floating],
    text_rows: NDArray[np.floating],
    semantic_ids: SemanticIds,
    decode: Callable[[int], str],
    text_token_ids: Sequence[int] | NDArray[np.integer],
) -> tuple[DiagnosticNumbers, dict[str, NDArray[np.generic]]]:
    """Numbers and arrays that describe the new rows.

    Args:
        new_rows: [num_tokens, dim] in the order of `semantic_ids.tokens`.
        text_rows: [V, dim] the rows of the text tokens.
        semantic_ids: which codes are used, and the codebooks (null: RSA is null).
        decode: token id → text; called once per text token.
        text_token_ids: [V] the token id of each text row.

    Returns:
        The numbers, and the arrays behind them:

        - `singular_values`, `singular_values_centred`: [min(n, dim)] float32 of the n used rows,
          descending;
        - `cosine`: [m, m] float64 between `SHOWN_TEXT_ROWS` text rows (evenly spaced over the
          words, ends included) and then the first `SHOWN_ROWS` used codes of each level;
        - `cosine_labels`: [m] int16, -1 for text, else the level;
        - `codes`: [n] the used codes as tokens;
        - `nearest_words`: [n, `NEAREST_WORDS`] the words of largest cosine, best first; empty
          where there are fewer.

    Raises:
        ValueError: shapes that do not fit each other, values that are not finite, no used code.
    """
    _check(new_rows, text_rows, semantic_ids, text_token_ids)
    used = np.flatnonzero(semantic_ids.used)
    rows = np.asarray(new_rows, dtype=np.float64)[used]
    levels = used // semantic_ids.num_codes
    words = [as_word(decode(int(token))) for token in text_token_ids]

    spectrum, centred = singular_values(rows)
    has_cosine = np.any(rows != 0, axis=1)
    cosines, cosine_levels = cosine_matrix(rows[has_cosine]), levels[has_cosine]
    same_level = [
        _mean_pair(cosines[np.ix_(members, members)])
        for members in _members(cosine_levels, semantic_ids.num_levels)
    ]
    pearson, spearman = _rsa_by_level(rows, levels, semantic_ids, used)
    affinity, nearest = nearest_text(rows, text_rows, words)
    numbers = DiagnosticNumbers(
        num_rows=semantic_ids.num_tokens,
        unused_rows=semantic_ids.num_tokens - len(used),
        effective_rank=effective_rank(spectrum),
        effective_rank_centred=effective_rank(centred),
        stable_rank=stable_rank(spectrum),
        norm_mean=float(np.linalg.norm(rows, axis=1).mean()),
        cosine_mean=_mean_pair(cosines),
        cosine_within_level=tuple(same_level),
        cosine_across_levels=_mean_across(cosines, cosine_levels),
        rsa_pearson=pearson[0],
        rsa_spearman=spearman[0],
        rsa_pearson_per_level=tuple(pearson[1:]),
        rsa_spearman_per_level=tuple(spearman[1:]),
        text_affinity=affinity,
    )
    cosine, labels = _shown_cosines(rows, levels, text_rows, words)
    arrays: dict[str, NDArray[np.generic]] = {
        "singular_values": spectrum.astype(np.float32),
        "singular_values_centred": centred.astype(np.float32),
        "cosine": cosine,
        "cosine_labels": labels,
        "codes": np.array(semantic_ids.tokens)[used],
        "nearest_words": np.array([_filled(found) for found in nearest]),
    }
    return numbers, arrays


def singular_values(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Singular values of the rows [n, dim] as they are and less their mean, descending.

    Both are [min(n, dim)]. Values not above the largest one of the rows as they are times
    max(n, dim) times float64's machine epsilon (the usual numerical rank) are rounding errors and
    set to zero, so that identical rows have exactly one, and none once their mean is taken off.
    """
    values = np.linalg.svd(rows, compute_uv=False)
    centred = np.linalg.svd(rows - rows.mean(axis=0, keepdims=True), compute_uv=False)
    threshold = values[0] * max(rows.shape) * np.finfo(np.float64).eps
    return np.where(values > threshold, values, 0.0), np.where(centred > threshold, centred, 0.0)


def effective_rank(values: FloatArray) -> float | None:
    """Exponential of the entropy of the singular values over their sum; null if all are zero.

    Between 1 (one direction) and the number of values (all equal); Roy and Vetterli, "The
    effective rank", EUSIPCO 2007.
    """
    positive = values[values > 0]
    if not len(positive):
        return None
    shares = positive / positive.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def stable_rank(values: FloatArray) -> float | None:
    """Squared Frobenius norm over squared spectral norm, from singular values, descending."""
    if not len(values) or values[0] == 0:
        return None
    return float(np.square(values / values[0]).sum())


def cosine_matrix(rows: NDArray[np.floating]) -> FloatArray:
    """[n, n] cosines between the rows, clipped to [-1, 1]; zero for rows of zeros."""
    units = unit_rows(rows)
    return np.clip(units @ units.T, -1.0, 1.0)


def rsa(
    rows: NDArray[np.floating], vectors: NDArray[np.floating]
) -> tuple[float | None, float | None]:
    """Representational similarity: do pairs of rows relate as pairs of vectors do?

    Pearson and Spearman correlation between the upper triangles (without the diagonal) of the two
    cosine matrices. Places where either side is all zeros are left out. Undefined (null) with
    fewer than three places, or where the cosines of either side do not vary (`MIN_COSINE_STD`).

    Args:
        rows: [n, dim] new rows.
        vectors: [n, code_dim] codebook vectors of the same codes.
    """
    kept = np.any(rows != 0, axis=1) & np.any(vectors != 0, axis=1)
    if kept.sum() < 3:
        return None, None
    upper = np.triu_indices(int(kept.sum()), k=1)
    pairs = [
        np.round(cosine_matrix(side[kept])[upper], COSINE_DECIMALS) for side in (rows, vectors)
    ]
    if min(side.std() for side in pairs) <= MIN_COSINE_STD:
        return None, None
    return _correlation(*pairs), _correlation(*(_mean_places(side) for side in pairs))


def _mean_places(values: FloatArray) -> FloatArray:
    """[n] each value's place in ascending order, from 1; equal values share their mean place.

    As `scipy.stats.rankdata` does, whose import takes a worker longer than all its diagnostics.
    """
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    places: FloatArray = (last - (counts - 1) / 2)[group]
    return places


def _filled(words: tuple[str, ...]) -> tuple[str, ...]:
    """`words` and empty ones, `NEAREST_WORDS` in all."""
    return words + ("",) * (NEAREST_WORDS - len(words))


def _check(
    new_rows: NDArray[np.floating],
    text_rows: NDArray[np.floating],
    semantic_ids: SemanticIds,
    text_token_ids: Sequence[int] | NDArray[np.integer],
) -> None:
    if new_rows.ndim != 2 or len(new_rows) != semantic_ids.num_tokens:
        raise ValueError(
            f"new_rows must be [{semantic_ids.num_tokens}, dim], one per token of the Semantic"
            f" IDs, found {new_rows.shape}"
        )
    expected = (len(text_token_ids), new_rows.shape[1])
    if text_rows.shape != expected or not len(text_rows):
        raise ValueError(f"text_rows must be {expected} and not empty, found {text_rows.shape}")
    for name, rows in (("new_rows", new_rows), ("text_rows", text_rows)):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{name}: {len(bad)} rows hold NaN or infinite values, the first is row {bad[0]};"
                " the stage that wrote them has diverged"
            )
    if not semantic_ids.used.any():
        raise ValueError("no item carries a Semantic ID, so there is no row to describe")


def _members(levels: NDArray[np.integer], num_levels: int) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(levels == level) for level in range(num_levels)]


def _mean_pair(cosines: FloatArray) -> float | None:
    """Mean above the diagonal of a cosine matrix; null with fewer than two rows."""
    upper = cosines[np.triu_indices(len(cosines), k=1)]
    return float(upper.mean()) if len(upper) else None


def _mean_across(cosines: FloatArray, levels: NDArray[np.integer]) -> float | None:
    across = cosines[levels[:, None] < levels[None, :]]
    return float(across.mean()) if len(across) else None


def _rsa_by_level(
    rows: FloatArray,
    levels: NDArray[np.int64],
    semantic_ids: SemanticIds,
    used: NDArray[np.int64],
) -> tuple[list[float | None], list[float | None]]:
    """Pearson and Spearman, each pooled first and then per level."""
    if semantic_ids.codebooks is None:
        nothing: list[float | None] = [None] * (semantic_ids.num_levels + 1)
        return nothing, list(nothing)
    dim = semantic_ids.codebooks.shape[2]
    vectors = semantic_ids.codebooks.reshape(-1, dim)[used].astype(np.float64)
    both = [rsa(rows, vectors)]
    both += [rsa(rows[m], vectors[m]) for m in _members(levels, semantic_ids.num_levels)]
    return [pearson for pearson, _ in both], [spearman for _, spearman in both]


def _correlation(first: FloatArray, second: FloatArray) -> float:
    first, second = first - first.mean(), second - second.mean()
    product = float(first @ second) / float(np.linalg.norm(first) * np.linalg.norm(second))
    return min(1.0, max(-1.0, product))


def _shown_cosines(
    rows: FloatArray,
    levels: NDArray[np.int64],
    text_rows: NDArray[np.floating],
    words: Sequence[str],
) -> tuple[FloatArray, NDArray[np.int16]]:
    """The cosine matrix of the figure, and the label of each of its rows."""
    tokens = np.array([token for token, word in enumerate(words) if word], dtype=np.int64)
    spaced = np.linspace(0, max(len(tokens) - 1, 0), min(SHOWN_TEXT_ROWS, len(tokens)))
    text = np.asarray(text_rows[tokens[np.round(spaced).astype(np.int64)]], dtype=np.float64)
    shown = [members[:SHOWN_ROWS] for members in _members(levels, int(levels.max()) + 1)]
    labels = np.full(len(text), -1, dtype=np.int16)
    for level, members in enumerate(shown):
        labels = np.append(labels, np.full(len(members), level, dtype=np.int16))
    return cosine_matrix(np.vstack([text, rows[np.concatenate(shown)]])), labels
