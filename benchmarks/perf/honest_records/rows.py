"""Drawn rows of the codes after each stage: diagnostics, manifest and proofs that follow from them.

Computed plainly from whole matrices, without the code that describes the rows of real cells.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.perf.honest_records.settings import Shape
from leaderboard.records.canonical import digest_of
from leaderboard.records.record import MethodCard
from leaderboard.records.semantic_ids import SemanticIdsFile

Floats = NDArray[np.float64]
WORDS = ("comedy", "drama", "western", "musical", "war")
PACKAGES = {"torch": "2.6.0", "transformers": "5.0.0"}
BODY = 104
"""Parameters of the backbone beside its matrix."""


def rows_after(shape: Shape, key: str, seed: int, stage: str, drawn: bool) -> Floats:
    """[new_rows, width] after `stage`; the first ones are all alike unless `drawn`."""
    if stage == "init" and not drawn:
        return np.full((shape.new_rows, shape.width), 0.5)
    generator = np.random.default_rng([seed, *key.encode(), *stage.encode()])
    return generator.normal(size=(shape.new_rows, shape.width)) + 0.5


def spectrum_of(
    shape: Shape, sids: SemanticIdsFile, rows: Floats
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers and arrays of the diagnostics of `rows`, those of the codes of `sids`."""
    text = np.random.default_rng(0).normal(size=(shape.shown_rows, shape.width))
    plain, centred = (_singular_values(each) for each in (rows, rows - rows.mean(axis=0)))
    cosine = _cosines(np.vstack([text, rows]))
    level = np.repeat(np.arange(shape.levels), shape.codes)
    new = cosine[shape.shown_rows :, shape.shown_rows :]
    pairs = np.triu(np.ones(new.shape, dtype=bool), 1)
    same = level[:, None] == level
    within = [pairs & same & (level == each) for each in range(shape.levels)]
    assert sids.codebooks is not None  # made-up Semantic IDs have some
    between = _cosines(sids.codebooks.reshape(shape.new_rows, -1).astype(np.float64))
    pooled, *own = [_rsa(new[chosen], between[chosen]) for chosen in (pairs, *within)]
    numbers = {
        "num_rows": shape.new_rows,
        "unused_rows": 0,
        "effective_rank": _effective_rank(plain),
        "effective_rank_centred": _effective_rank(centred),
        "stable_rank": float((plain**2).sum() / plain[0] ** 2),
        "norm_mean": float(np.linalg.norm(rows, axis=1).mean()),
        "cosine_mean": float(new[pairs].mean()),
        "cosine_within_level": [float(new[chosen].mean()) for chosen in within],
        "cosine_across_levels": float(new[~same].mean()),
        "rsa_pearson": pooled[0],
        "rsa_spearman": pooled[1],
        "rsa_pearson_per_level": [pearson for pearson, _ in own],
        "rsa_spearman_per_level": [spearman for _, spearman in own],
        "text_affinity": float(cosine[shape.shown_rows :, : shape.shown_rows].max(axis=1).mean()),
    }
    arrays = {
        "singular_values": plain.astype(np.float32),
        "singular_values_centred": centred.astype(np.float32),
        "cosine": cosine,
        "cosine_labels": np.append(np.full(shape.shown_rows, -1), level).astype(np.int16),
        "codes": np.array(
            [f"<{'abcdefgh'[at]}_{n}>" for at, n in np.ndindex(shape.levels, shape.codes)]
        ),
        "nearest_words": np.array([WORDS] * shape.new_rows),
    }
    return numbers, arrays


def _singular_values(matrix: Floats) -> Floats:
    """Singular values of `matrix`; what is left of zero is zero."""
    found = np.linalg.svd(matrix, compute_uv=False)
    return np.where(found > 1e-10, found, 0.0)


def _effective_rank(values: Floats) -> float | None:
    """The exponential of the entropy of `values`; None if all are zero."""
    shares = values[values > 0] / (values.sum() or 1.0)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else None


def _cosines(rows: Floats) -> Floats:
    """[n, n] of all pairs of `rows`."""
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (unit @ unit.T).clip(-1, 1)


def _rsa(own: Floats, other: Floats) -> tuple[float | None, float | None]:
    """Pearson and Spearman of two lists of cosines; None where the first do not vary."""
    own = np.round(own, 12)
    if np.ptp(own) == 0:
        return None, None
    pearson, spearman = np.corrcoef(own, other), np.corrcoef(rankdata(own), rankdata(other))
    return float(pearson[0, 1]), float(spearman[0, 1])


def _sha256(rows: Floats) -> str:
    """Of `rows` as a manifest has it."""
    return hashlib.sha256(rows.astype("<f4").tobytes()).hexdigest()


def manifest_of(shape: Shape, card: MethodCard, rows: Floats) -> dict[str, Any]:
    """The manifest of first `rows`, which the method of `card` wrote."""
    norms = np.linalg.norm(rows, axis=1)
    library = f" (transformers {PACKAGES['transformers']})" if card.key == "hf_default" else ""
    return {
        "initializer": f"{card.key} v{card.version}{library}",
        "first_token_id": shape.text_rows,
        "num_rows": shape.new_rows,
        "rows_before": shape.text_rows,
        "rows_after": shape.text_rows + shape.new_rows,
        "padding_rows": 0,
        "num_text_rows": shape.text_rows,
        "tied": True,
        "norm_mean": float(norms.mean()),
        "norm_std": float(norms.std()),
        "text_norm_mean": 1.0,
        "cosine_to_text_mean": 0.5,
        "pairwise_cosine_mean": float(_cosines(rows)[np.triu_indices(len(rows), 1)].mean()),
        "identical_rows": bool((rows == rows[0]).all()),
        "new_rows_sha256_before": None,
        "new_rows_sha256_after": _sha256(rows),
        "text_rows_sha256_before": digest_of("text"),
        "text_rows_sha256_after": digest_of("text"),
    }


def proof_of(shape: Shape, cell: str, stage: str, rows: Floats) -> dict[str, Any]:
    """The proof of a `stage` that left `rows`: SFT moves all, grounding the new rows alone."""
    everything = stage == "sft"
    text = shape.text_rows if everything else 0
    return {
        "stage": stage,
        "trainable_parameters": BODY + shape.matrix if everything else rows.size,
        "new_rows_with_gradient": shape.new_rows,
        "text_rows_with_gradient": text,
        "new_rows_changed": shape.new_rows,
        "text_rows_changed": text,
        "backbone_changed": everything,
        "new_rows_sha256": _sha256(rows),
        "text_rows_sha256": digest_of(f"text after {cell}" if everything else "text"),
    }
