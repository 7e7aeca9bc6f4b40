"""Reads prompts with a model and then, step by step, tokens that stand behind them side by side.

Two ways with one interface. `LibraryReading` calls the model as a whole, for any causal LM.
`LayerReading` calls the parts of its layers, for layers of a known shape, and computes less. Same
numbers, up to the order of floating-point sums.
"""

from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gti.model.capabilities import hidden_dependence, trying
from gti.search.layer_reading import LayerReading

KNOWN_LAYERS = ("LlamaDecoderLayer", "Qwen3DecoderLayer")
"""Norm, attention with rotary positions, residual; norm, MLP, residual."""
TRIED: WeakKeyDictionary[torch.nn.Module, tuple[object, str | None]] = WeakKeyDictionary()
"""Models that were tried → what they were made of then, and what came out."""


class Reading(Protocol):
    """Prompts that were read, and the tokens that were read behind them."""

    hidden: Tensor
    """[users, 1, d] states after each prompt's last token, after the final norm."""

    def step(self, tokens: Tensor, depth: int, seen: Tensor) -> Tensor:
        """[users, n, d] states of tokens that stand side by side behind the prompts.

        Args:
            tokens: [users, n] token ids.
            depth: tokens between each of them and its prompt.
            seen: [users or 1, n, tokens read behind the prompt, these included] bool: which each
                sees, beside the whole prompt.
        """

    def drop(self, count: int) -> None:
        """Forgets the last `count` tokens read behind each prompt."""


def knows_layers(model: Any) -> bool:
    """Whether `LayerReading` reads with `model`."""
    return why_not_layerwise(model) is None


def why_not_layerwise(model: Any) -> str | None:
    """Why `model` is read by calls of the whole; null where `LayerReading` gives the same states.

    Kinds of layers and what the config declares are read first, then a few tokens are read both
    ways: a layer that does more than its kind, a hook or a changed scale, shows in the numbers.
    """
    layers = getattr(model.base_model, "layers", None) or ()
    unknown = {type(layer).__name__ for layer in layers} - set(KNOWN_LAYERS)
    if unknown or not len(layers):
        return f"layers of an unknown shape ({', '.join(sorted(unknown)) or type(model).__name__})"
    kind = hidden_dependence(model.config)
    if kind is not None:
        return kind
    weight = model.get_input_embeddings().weight
    made_of = (sum(1 for _ in model.modules()), weight.dtype, weight.device)
    if model not in TRIED or TRIED[model][0] != made_of:
        TRIED[model] = (made_of, _try_both(model))
    return TRIED[model][1]


def _try_both(model: Any) -> str | None:
    """What differs between both ways of reading a few tokens; null where nothing does."""
    try:
        with trying(model):
            error = _largest_error(model)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as refusal:
        return f"its layers cannot be read one by one ({type(refusal).__name__})"
    if error < torch.finfo(model.get_input_embeddings().weight.dtype).eps ** 0.5:
        return None
    return f"its layers, read one by one, give other states (they differ by {error:.1g})"


def _largest_error(model: Any) -> float:
    """Largest difference between layer by layer and whole sequences, over the largest state.

    Two prompts of unlike length; behind each a token, another beside it, a third behind the first.
    """
    matrix = model.get_input_embeddings().weight
    ids = torch.arange(18, device=matrix.device).view(2, 9) % len(matrix)
    prompts, first, beside, behind = ids[:, :6], ids[:, 6:7], ids[:, 7:8], ids[:, 8:]
    lengths = torch.tensor([6, 4], device=matrix.device)
    reading = LayerReading(model, prompts, lengths, 3)
    seen = torch.eye(3, dtype=torch.bool, device=matrix.device)
    seen[2, 0] = True
    upper = reading.step(torch.cat([first, beside], dim=1), 0, seen[None, :2, :2])
    found = torch.cat([reading.hidden, upper, reading.step(behind, 1, seen[None, 2:])], dim=1)
    plain = []
    for user, length in enumerate(lengths.tolist()):
        tails = torch.stack([torch.cat([first, behind], 1)[user], beside[user].expand(2)])
        rows = torch.cat([prompts[user, :length].expand(2, -1), tails], dim=1)
        states = model.base_model(input_ids=rows, use_cache=False).last_hidden_state
        one, other = states[0, length - 1 :], states[1, length]
        plain.append(torch.stack([one[0], one[1], other, one[2]]))
    expected = torch.stack(plain)
    return float((found - expected).abs().max() / expected.abs().max())


def read(model: Any, ids: Tensor, lengths: Tensor, room: int) -> Reading:
    """Reads prompts in the faster of the two ways that `model` allows.

    Args:
        model: a causal LM, in eval mode.
        ids: [users, longest] prompts; what stands behind a shorter one is never seen.
        lengths: [users] tokens of each; all alike unless `knows_layers(model)`.
        room: tokens that will stand behind each prompt at most.
    """
    if knows_layers(model):
        return LayerReading(model, ids, lengths, room)
    return LibraryReading(model, ids)


class LibraryReading:
    """Reading by calls of the whole model.

    Args:
        model: any causal LM that heeds a mask over pairs of tokens.
        ids: [users, length] prompts of one length.
    """

    def __init__(self, model: Any, ids: Tensor) -> None:
        self.model, self.length = model, ids.shape[1]
        output = model.base_model(input_ids=ids, use_cache=True)
        self.cache = output.past_key_values
        self.hidden: Tensor = output.last_hidden_state[:, -1:, :]

    def step(self, tokens: Tensor, depth: int, seen: Tensor) -> Tensor:
        """See `Reading`."""
        users, count = tokens.shape
        prompt = seen.new_ones(users, count, self.length)
        mask = torch.cat([prompt, seen.expand(users, -1, -1)], dim=-1)[:, None]
        output = self.model.base_model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=torch.full_like(tokens, self.length + depth),
            past_key_values=self.cache,
            use_cache=True,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def drop(self, count: int) -> None:
        """See `Reading`."""
        self.cache.crop(-count)
