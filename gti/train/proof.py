"""Proof of what was initialized and what each stage moved, compared bit for bit."""

import hashlib
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from gti.model.vocabulary import Vocabulary, embedding_matrices, matrices_sha256, read_rows
from gti.train.training import StageReport


def manifest(model: Any, vocabulary: Vocabulary, initializer: str) -> dict[str, Any]:
    """Proof of initialization, as the fields of the record's manifest.

    Norms and cosines are those of the embedding matrix; hashes cover an untied head as well.

    Args:
        model: with the initial rows written.
        vocabulary: where the rows live.
        initializer: who wrote them.
    """
    matrix = embedding_matrices(model)[0]
    rows = read_rows(matrix, vocabulary.new_ids)
    text_rows = read_rows(matrix, vocabulary.text_ids)
    norms = rows.norm(dim=1)
    has_cosines = bool((norms > 0).all())
    unit, count = normalize(rows.double(), dim=1), len(rows)
    pairs = (unit.sum(dim=0).square().sum() - unit.square().sum()) / (count * (count - 1))
    to_mean = cosine_similarity(rows, text_rows.mean(dim=0)[None], dim=1)
    return {
        "initializer": initializer,
        "first_token_id": int(vocabulary.new_ids.min()),
        "num_rows": count,
        "rows_before": vocabulary.rows_before,
        "rows_after": vocabulary.matrix_rows,
        "padding_rows": vocabulary.padding_rows,
        "num_text_rows": len(text_rows),
        "tied": vocabulary.tied,
        "norm_mean": float(norms.mean()),
        "norm_std": float(norms.std(correction=0)),
        "text_norm_mean": float(text_rows.norm(dim=1).mean()),
        "cosine_to_text_mean": float(to_mean.mean()) if has_cosines else None,
        "pairwise_cosine_mean": float(pairs) if has_cosines else None,
        "identical_rows": bool((rows == rows[0]).all()),
        "new_rows_sha256_before": vocabulary.new_sha256_before,
        "new_rows_sha256_after": matrices_sha256(model, vocabulary.new_ids),
        "text_rows_sha256_before": vocabulary.text_sha256_before,
        "text_rows_sha256_after": matrices_sha256(model, vocabulary.text_ids),
    }


def body_sha256(model: Any) -> str:
    """sha256 over all parameters but embedding matrix and head, in the model's order."""
    matrices = {id(matrix) for matrix in embedding_matrices(model)}
    digest = hashlib.sha256()
    for parameter in model.parameters():
        if id(parameter) not in matrices:
            digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class StageWatch:
    """Remembers the weights before a stage and says afterwards what moved."""

    def __init__(self, model: Any, vocabulary: Vocabulary) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.new, self.text = self._rows(vocabulary.new_ids), self._rows(vocabulary.text_ids)
        self.body = body_sha256(model)

    def _rows(self, ids: Tensor) -> Tensor:
        matrices = embedding_matrices(self.model)
        return torch.cat([read_rows(matrix, ids) for matrix in matrices], dim=1)

    def proof(self, stage: str, report: StageReport) -> dict[str, Any]:
        """The fields of the record's proof for `stage`, which ended with `report`."""
        new, text = self._rows(self.vocabulary.new_ids), self._rows(self.vocabulary.text_ids)
        return {
            "stage": stage,
            "trainable_parameters": report.trainable_parameters,
            "new_rows_with_gradient": report.new_rows_with_gradient,
            "text_rows_with_gradient": report.text_rows_with_gradient,
            "new_rows_changed": int((new != self.new).any(dim=1).sum()),
            "text_rows_changed": int((text != self.text).any(dim=1).sum()),
            "backbone_changed": body_sha256(self.model) != self.body,
            "new_rows_sha256": matrices_sha256(self.model, self.vocabulary.new_ids),
            "text_rows_sha256": matrices_sha256(self.model, self.vocabulary.text_ids),
        }
