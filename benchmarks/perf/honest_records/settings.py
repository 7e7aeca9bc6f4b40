"""The setting that made-up records are of, its Semantic IDs, and how large all is."""

import functools
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.records.canonical import digest_of
from leaderboard.records.semantic_ids import SemanticIdsFile, read_semantic_ids
from leaderboard.records.setting import Setting


@dataclass(frozen=True)
class Shape:
    """How large a made-up cell is, beside its users.

    Attributes:
        items: of the dataset, at least as many as there are codes in a level.
        levels: codes in a Semantic ID.
        codes: in a level.
        width: of a row; even.
        text_rows: of the backbone.
        shown_rows: text rows whose cosines the diagnostics keep.
        batches: in one pass over the fine-tuning stream.
    """

    items: int = 97
    levels: int = 2
    codes: int = 6
    width: int = 8
    text_rows: int = 100
    shown_rows: int = 5
    batches: int = 20

    @property
    def new_rows(self) -> int:
        """Rows of all codes."""
        return self.levels * self.codes

    @property
    def matrix(self) -> int:
        """Parameters of the embedding matrix."""
        return self.width * (self.text_rows + self.new_rows)

    @property
    def semantic_ids(self) -> SemanticIdsFile:
        """The Semantic IDs of a dataset of so many items, where a setting has one draw of them."""
        return artefact(self)[0]


USUAL = Shape()


@functools.cache
def artefact(shape: Shape, draw: int = 0) -> tuple[SemanticIdsFile, bytes]:
    """Semantic IDs that use every code, with codebooks, and the file that holds them.

    Draws differ in their codebooks.
    """
    if shape.items < shape.codes:
        raise ValueError(f"{shape.items} items cannot use all {shape.codes} codes; write more")
    item = np.arange(shape.items)[:, None]
    generator, buffer = np.random.default_rng(5 + draw), io.BytesIO()
    np.savez_compressed(
        buffer,
        codes=(item + np.arange(shape.levels) * (item // shape.codes)) % shape.codes,
        num_codes=np.array(shape.codes),
        codebooks=generator.normal(size=(shape.levels, shape.codes, 3)).astype(np.float16),
        description=np.array('{"made": "up"}'),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "semantic-ids.npz"
        path.write_bytes(buffer.getvalue())
        return read_semantic_ids(path), buffer.getvalue()


OPTIMIZER: dict[str, Any] = {
    "learning_rate": 1e-3,
    "batch_size": 16,
    "schedule": "cosine",
    "warmup_share": 0.1,
    "weight_decay": 0.0,
    "betas": (0.9, 0.95),
}
POOLED: dict[str, Any] = {"pooling": "token_mean", "every": 2}
DATASET: dict[str, Any] = {
    "name": "toy",
    "sha256": digest_of("dataset"),
    "title_field": "title",
    "detail_fields": (),
    "min_interactions": 3,
    "max_history": 50,
    "seen_items": "keep",
}
QUERIES: dict[str, Any] = {
    "prompts": {"style": "chat", "window": 10, "max_text_tokens": 16},
    "queries": {
        "rule": "item_texts",
        "sha256": digest_of("queries"),
        "per_item": 3,
        "words": 4,
        "category_fields": ("genre",),
        "gains": (1.0, 3.0),
    },
}
"""What makes a setting one of the retrieval track."""


def setting_of(shape: Shape = USUAL, draws: Sequence[int] = (), **changes: Any) -> Setting:
    """The setting `toy` on the Semantic IDs of `shape`; `changes` are top-level fields.

    `draws`: seeds whose draws of Semantic IDs are pinned, where each seed has its own.
    """
    pins: dict[str, Any] = {"seed": 0, "sha256": shape.semantic_ids.sha256}
    if draws:
        own = {str(seed): artefact(shape, seed)[0].sha256 for seed in draws}
        pins = {"seed": "cell", "draws": own}
    content: dict[str, Any] = {
        "name": "toy",
        "summary": "a toy",
        "evidence": False,
        "seeds": (0, 1, 2),
        "dataset": DATASET,
        "semantic_ids": {
            "quantiser": "residual_kmeans",
            "encoder": "toy",
            "pca_dim": 0,
            "levels": shape.levels,
            "codes": shape.codes,
            **pins,
        },
        "backbone": {"name": "toy", "dtype": "float32"},
        "prompts": {"style": "sequence", "window": 10, "max_text_tokens": 16},
        "sft": {**OPTIMIZER, "rates": "own", "passes": 1.0},
        "extra": {"share_of_sft": 0.25},
        "grounding": {**OPTIMIZER, "held_out_share": 0.1},
        "auxiliary": {"mixture": {"item2index": 1.0}, "loss_weight": 1.0, **POOLED},
        "decoding": {"beam": 20},
        "evaluation": {
            "cutoffs": (1, 5, 10, 20),
            "wordings": 1,
            "validation_users": 20,
            "curve_points": 2,
        },
    }
    return Setting.model_validate({**content, **changes})
