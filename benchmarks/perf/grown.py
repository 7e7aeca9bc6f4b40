"""What every timing runs on: a backbone with MovieLens-100K's Semantic IDs and made-up texts.

Texts and histories are drawn, so that nothing is fetched; their lengths are those of the data. The
backbone is `nano`; `GTI_BENCH_PERF_BACKBONES=nano,smollm2-135m` names others, whose weights must be
in the cache (minutes on a CPU).
"""

import copy
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
import torch

from benchmarks.inputs.backbones import load_backbone
from benchmarks.machine.places import SEMANTIC_IDS
from benchmarks.perf.timing import perf_dtype
from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds
from gti.data.streams import numpy_stream, torch_stream
from gti.method import GroundingPlan
from gti.model.vocabulary import (
    Vocabulary,
    embedding_matrices,
    extend_vocabulary,
    read_rows,
    write_rows,
)
from gti.prompts.prompter import Example, Prompter, Style
from gti.train.grounding import grounding_examples

BACKBONES = os.environ.get("GTI_BENCH_PERF_BACKBONES", "nano").split(",")
WINDOW = 50
WORDS = (
    "a and boy city comedy dark day drama end garden girl great house king last life little long"
    " lost man mother night of old part river road story summer the war winter world young"
)


class Tolerance(TypedDict):
    """How far two results may part, relative to the expected one and beside it."""

    rtol: float
    atol: float


@dataclass(frozen=True)
class Grown:
    """The grown backbone and what builds its examples.

    Attributes:
        name: of the backbone.
        dtype: that it computes in, around float32 weights.
        model: with one row per code; use `fresh_model` where it is trained.
        vocabulary: where the new rows live.
        semantic_ids: by default 3 × 64 codes of 1,682 items.
        prompter: by default sequence style, as in the setting `ml-100k-nano`.
    """

    name: str
    dtype: str
    model: Any
    vocabulary: Vocabulary
    semantic_ids: SemanticIds
    prompter: Prompter

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @property
    def small(self) -> bool:
        """Whether steps of full size are quick: with `nano`, or on a GPU."""
        return self.name == "nano" or self.device.type == "cuda"

    @property
    def suffix(self) -> str:
        """What lines of the table end with: the backbone, if it is not `nano`, and its dtype."""
        parts = [self.name] * (self.name != "nano") + [self.dtype] * (self.dtype != "float32")
        return "".join(f", {part}" for part in parts)

    def close(self, rtol: float, atol: float = 0.0) -> Tolerance:
        """Tolerances: these in float32; in bfloat16 at least what its 8 bits leave of a sum."""
        if self.dtype == "float32":
            return {"rtol": rtol, "atol": atol}
        return {"rtol": max(rtol, 3e-2), "atol": max(atol, 3e-2)}

    def fresh_model(self) -> Any:
        """A copy of the model, to be changed at will."""
        return copy.deepcopy(self.model)

    def history(self, length: int, user: int = 0) -> IntArray:
        """[length] items drawn for `user`."""
        generator = np.random.default_rng([length, user])
        return generator.integers(0, self.semantic_ids.num_items, length)

    def windows(self, count: int, items: int = WINDOW) -> list[Example]:
        """`count` training sequences of `items` items each."""
        histories = [self.history(items, user) for user in range(count)]
        return [e for history in histories for e in self.prompter.windows(history, WINDOW)]

    @cached_property
    def grounding_pairs(self) -> list[Example]:
        """All six tasks of all items, in a fixed random order."""
        examples = grounding_examples(self.prompter, GroundingPlan(), numpy_stream(0, "shuffle"))
        order = numpy_stream(0, "grounding-order").permutation(len(examples))
        return [examples[index] for index in order]


def load_grown(
    semantic_ids: SemanticIds | None = None,
    *,
    name: str = "nano",
    device: torch.device | None = None,
    style: Style = "sequence",
    template: str | None = None,
    max_history: int = WINDOW,
    bounded: bool = True,
) -> Grown:
    """Loads and grows a backbone; its new rows stand around the mean text row.

    Args:
        semantic_ids: of as many made-up items; default: MovieLens-100K's.
        name: of the backbone.
        device: where it computes; default: the CPU.
        style: of the prompts.
        template: chat template of a backbone that has none.
        max_history: items that a prompt shows.
        bounded: whether prompts must fit the backbone's context (512 tokens for `nano`).
    """
    backbone = load_backbone(name, offline=True)
    if backbone.tokenizer.chat_template is None:
        backbone.tokenizer.chat_template = template
    if semantic_ids is None:
        path = SEMANTIC_IDS / "ml-100k-residual_kmeans-3x64-seed0.npz"
        semantic_ids = SemanticIds.from_file(path)
    model: Any = backbone.model
    vocabulary = extend_vocabulary(backbone.tokenizer, model, semantic_ids.tokens)
    generator = torch_stream(0, "init")
    for matrix in embedding_matrices(model):
        text = read_rows(matrix, vocabulary.text_ids)
        noise = torch.randn(semantic_ids.num_tokens, text.shape[1], generator=generator)
        write_rows(matrix, vocabulary.new_ids, text.mean(dim=0) + text.std(dim=0) * noise)
    drawn = np.random.default_rng(0)
    words = WORDS.split()
    texts = [
        {
            "title": " ".join(drawn.choice(words, int(drawn.integers(1, 7)))),
            "categories": ", ".join(drawn.choice(words, int(drawn.integers(1, 4)))),
            "year": str(drawn.integers(1920, 1999)),
        }
        for _ in range(semantic_ids.num_items)
    ]
    prompter = Prompter(
        backbone.tokenizer,
        vocabulary,
        semantic_ids,
        texts,
        title_field="title",
        detail_fields=("categories", "year"),
        style=style,
        max_text_tokens=48,
        max_history=max_history,
        context=model.config.max_position_embeddings if bounded else None,
    )
    where = device or torch.device("cpu")
    dtype = perf_dtype(name, where)
    return Grown(name, dtype, model.to(where), vocabulary, semantic_ids, prompter)
