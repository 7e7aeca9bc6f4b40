"""What every timing runs on: `nano` with MovieLens-100K's Semantic IDs and made-up texts.

Texts and histories are drawn, so that nothing is fetched; their lengths are those of the data.
"""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from benchmarks.backbones import load_backbone
from benchmarks.inputs import COMMITTED_SIDS
from gti.dataset import IntArray
from gti.grounding import grounding_examples
from gti.method import GroundingPlan
from gti.prompts import Example, Prompter, Style
from gti.semantic_ids import SemanticIds
from gti.streams import numpy_stream, torch_stream
from gti.vocabulary import Vocabulary, embedding_matrices, extend_vocabulary, read_rows, write_rows

WINDOW = 50
WORDS = (
    "a and boy city comedy dark day drama end garden girl great house king last life little long"
    " lost man mother night of old part river road story summer the war winter world young"
)


@dataclass(frozen=True)
class NanoSetup:
    """The grown backbone and what builds its examples.

    Attributes:
        model: `nano` with one row per code; use `fresh_model` where it is trained.
        vocabulary: where the new rows live.
        semantic_ids: by default 3 × 64 codes of 1,682 items.
        prompter: by default sequence style, as in the setting `ml-100k-nano`.
    """

    model: Any
    vocabulary: Vocabulary
    semantic_ids: SemanticIds
    prompter: Prompter

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


def load_nano(
    semantic_ids: SemanticIds | None = None,
    *,
    style: Style = "sequence",
    max_history: int = WINDOW - 1,
    bounded: bool = True,
) -> NanoSetup:
    """Loads and grows the embedded backbone; its new rows stand around the mean text row.

    Args:
        semantic_ids: of as many made-up items; default: MovieLens-100K's.
        style: of the prompts.
        max_history: items that a prompt shows.
        bounded: whether prompts must fit the backbone's context of 512 tokens.
    """
    backbone = load_backbone("nano", offline=True)
    if semantic_ids is None:
        path = COMMITTED_SIDS / "ml-100k-residual_kmeans-3x64-seed0.npz"
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
    return NanoSetup(model, vocabulary, semantic_ids, prompter)
