"""What a model still knows of plain English: bits per character of the project's own pages.

The pages (`plain_english.txt`, written for this purpose) are no product text and stand in no data
set. They are read in windows of as many tokens as the model's context has, at most `WINDOW`. Each
window begins with the token that texts begin with (where the tokenizer has none, with the one that
ends them), which is not scored; all tokens of the pages are, each after those before it in its
window. Where a tokenizer has neither, the first token of a window is not scored. The NLL of all of
them over the pages' characters, in bits, does not depend on how a tokenizer cuts.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.cell.scoring import MAX_TOKENS
from benchmarks.machine.places import PLAIN_ENGLISH
from gti.plain import Forms
from gti.prompts.prompter import Example

WINDOW = 512
"""Tokens that are read together, at most."""


def pages() -> str:
    """The pages of plain English."""
    return PLAIN_ENGLISH.read_bytes().decode()


def windows(tokenizer: Any, context: int | None) -> list[Example]:
    """The pages in windows, with all tokens but the first of each window as targets.

    Args:
        tokenizer: the backbone's, as it was loaded.
        context: the model's longest input; null where it has none.
    """
    core = tokenizer.backend_tokenizer
    core.no_truncation()
    core.no_padding()
    ids = core.encode(pages(), add_special_tokens=False).ids
    starts = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    start = [token for token in starts if token is not None][:1]
    size = min(WINDOW, context or WINDOW) - len(start)
    cut = [start + ids[place : place + size] for place in range(0, len(ids), size)]
    return [
        Example(np.array(part, dtype=np.int64), np.arange(1, len(part)), "plain_english")
        for part in cut
        if len(part) > 1
    ]


def bits_per_character(
    model: Any, examples: list[Example], forms: Forms, device: torch.device, dtype: str
) -> float:
    """Bits that `model`, in eval mode, needs for a character of the pages.

    Args:
        model: a causal LM.
        examples: from `windows`.
        forms: how the NLL of examples is computed.
        device: where the model is.
        dtype: what is computed in.
    """
    bound = MAX_TOKENS[device.type]
    summed, _ = forms.example_nll(model, examples, max_tokens=bound, dtype=dtype)
    return math.fsum(summed.tolist()) / math.log(2) / len(pages())


@dataclass(frozen=True)
class PlainEnglish:
    """The pages as a backbone reads them, and how well it knew them when it was loaded.

    Attributes:
        examples: from `windows`.
        before: bits per character of the backbone before it got new tokens.
    """

    examples: list[Example]
    before: float

    def record(self, after: float) -> dict[str, Any]:
        """The record's `Retention`, of a model that needs `after` bits per character."""
        content = PLAIN_ENGLISH.read_bytes()
        return {
            "pages": hashlib.sha256(content).hexdigest(),
            "characters": len(content.decode()),
            "before": self.before,
            "after": after,
        }
