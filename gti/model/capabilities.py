"""Which short cuts a model allows: what its config declares, and how it is tried.

Packed runs behind constant prefixes, shared beginnings and reading layer by layer are exact only
where a token's state depends on nothing but the tokens and positions it is shown. What a config
says against that is read here, for all three; what it does not say shows when the model is tried.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

CHANGING_ROPE = ("dynamic", "longrope")
"""Rotary embeddings that depend on the longest sequence of a batch."""


def hidden_dependence(config: Any) -> str | None:
    """What in `config` lets a token's state depend on more than the tokens and positions it sees.

    Short trials cannot find these out: they show on long inputs alone. Null where there is nothing.
    """
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if kinds:
        return f"layers of kind {', '.join(sorted(kinds))}"
    if getattr(config, "sliding_window", None) is not None:
        return "attention in a sliding window"
    for kind in _rope_kinds(getattr(config, "rope_parameters", None) or {}):
        if kind in CHANGING_ROPE:
            return f"{kind} rotary positions"
    return None


def _rope_kinds(rope: Mapping[str, Any]) -> Iterator[str]:
    """The kind of the rotary embedding, or of each where layers of several kinds have their own."""
    yield rope.get("rope_type", "default")
    for value in rope.values():
        if isinstance(value, Mapping):
            yield value.get("rope_type", "default")


@contextmanager
def trying(model: Any) -> Iterator[None]:
    """Runs `model` as it is, without dropout, gradients or autocast, for as long as it lasts."""
    device = model.get_input_embeddings().weight.device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        model.train(was_training)
