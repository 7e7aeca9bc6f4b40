"""A `Start` to fill rows from: text rows of a known distribution, a tokenizer of whole words."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gti.data.semantic_ids import SemanticIds
from gti.data.streams import torch_stream
from gti.method import Start

NUM_TEXT = 500


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_start() -> Callable[..., Start]:
    """`make_start(seed, …)`; text token i is the word "wi", ids are spaced by three."""

    def make(
        seed: int = 0,
        codes: int = 16,
        width: int = 48,
        item_codes: Any = ((0, 1), (0, 2), (3, 2)),
        texts: tuple[dict[str, str], ...] | None = None,
        code_dim: int | None = 8,
        num_text: int = NUM_TEXT,
    ) -> Start:
        rng = np.random.default_rng(7)
        levels = len(item_codes[0])
        codebooks = None
        if code_dim is not None:
            codebooks = rng.normal(size=(levels, codes, code_dim)).astype(np.float16)
        sids = SemanticIds(np.array(item_codes, np.int64), codes, codebooks, {})
        scales = np.linspace(0.1, 2.0, width)
        text_rows = torch.from_numpy(rng.normal(size=(num_text, width)) * scales + 0.3).float()

        def tokenize(text: str) -> list[int]:
            return [3 * int(word[1:]) for word in text.split()]

        if texts is None:
            texts = tuple({"title": f"w{i} w{i + 1}"} for i in range(len(item_codes)))
        return Start(
            matrix="input",
            text_rows=text_rows,
            text_ids=3 * torch.arange(num_text),
            default_rows=torch.from_numpy(rng.normal(size=(sids.num_tokens, width))).float(),
            semantic_ids=sids,
            item_texts=texts,
            train=(np.array([0, 1]),),
            tokenize=tokenize,
            generator=torch_stream(seed, "init"),
        )

    return make
