"""Reads prompts with a model and then, step by step, tokens that stand behind them side by side.

Three ways with one interface. `LayerReading` calls the parts of a model's layers, for layers of a
known shape, and computes least. `LibraryReading` calls the model as a whole, where it heeds a mask
over pairs of tokens. `PlainReading` gives each token a row of its own with all that stands before
it, for any causal LM. Same numbers, up to the order of floating-point sums.
"""

from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gti.model.capabilities import (
    Tried,
    difference,
    hides,
    largest_difference,
    trial_ids,
    try_original,
    trying,
)
from gti.search.layer_reading import LayerReading

KNOWN_LAYERS = (
    "Gemma3DecoderLayer",
    "LlamaDecoderLayer",
    "MistralDecoderLayer",
    "Qwen2DecoderLayer",
    "Qwen3DecoderLayer",
)
"""Norm, attention with rotary positions, residual; norm, MLP, residual. Gemma's have a norm before
and a norm after each of both."""
TRIED: Tried = WeakKeyDictionary()
"""What came out for `why_not_layerwise`."""
BESIDE: Tried = WeakKeyDictionary()
"""What came out for `why_not_side_by_side`."""
ROW_TOKENS = 8192
"""Tokens that `PlainReading` gives the model in one call, at most, unless one row has more."""


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


def knows_layers(model: Any, tokens: int) -> bool:
    """Whether `LayerReading` reads with `model`.

    Args:
        model: a causal LM, in eval mode.
        tokens: of the longest prompt, with those that will stand behind it.
    """
    return hides(model.config, tokens) is None and why_not_layerwise(model) is None


def why_not_layerwise(model: Any) -> str | None:
    """Why `model` is read by calls of the whole; null where `LayerReading` gives the same states.

    Kinds of layers and what the config declares are read first, then a few tokens are read both
    ways: a layer that does more than its kind, a hook or a changed scale, shows in the numbers. A
    sliding window that no prompt fills hides nothing; `knows_layers` asks for the length.
    """
    layers = getattr(model.base_model, "layers", None) or ()
    unknown = {type(layer).__name__ for layer in layers} - set(KNOWN_LAYERS)
    if unknown or not len(layers):
        return f"layers of an unknown shape ({', '.join(sorted(unknown)) or type(model).__name__})"
    kind = hides(model.config, 1)
    if kind is not None:
        return kind
    return try_original(TRIED, model, _try_both)


def _try_both(model: Any) -> str | None:
    """What differs between both ways of reading a few tokens; null where nothing does."""
    try:
        with trying(model):
            error = _largest_error(model)
    except torch.OutOfMemoryError:
        raise
    except Exception as refusal:  # its author's choice
        return f"its layers cannot be read one by one ({type(refusal).__name__})"
    if error < largest_difference(model.get_input_embeddings().weight.dtype):
        return None
    return f"its layers, read one by one, give other states (they differ by {error:.1g})"


def _largest_error(model: Any) -> float:
    """Largest difference between layer by layer and whole sequences, over the largest state.

    Two prompts of unlike length; behind each a token, another beside it, a third behind the first.
    """
    ids = trial_ids(model, 2, 9)
    prompts, first, beside, behind = ids[:, :6], ids[:, 6:7], ids[:, 7:8], ids[:, 8:]
    lengths = torch.tensor([6, 4], device=ids.device)
    reading = LayerReading(model, prompts, lengths, 3)
    seen = torch.eye(3, dtype=torch.bool, device=ids.device)
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
    return difference(found, torch.stack(plain))


def why_not_side_by_side(model: Any) -> str | None:
    """Why `LibraryReading` does not read with `model`; null where it gives the same states.

    Convolutions, linear attention and state spaces pass on what stands before a token, whatever a
    mask says; others take no mask over pairs of tokens.
    """
    return try_original(BESIDE, model, _try_beside)


def _try_beside(model: Any) -> str | None:
    """What differs between two tokens behind two beams and the same in rows of their own."""
    ids = trial_ids(model, 2, 10)
    prompts, first, second = ids[:, :6], ids[:, 6:8], ids[:, 8:]
    seen = torch.eye(2, dtype=torch.bool, device=ids.device)
    below = seen.repeat(1, 2)[None]
    states = []
    try:
        with trying(model):
            for reading in (LibraryReading(model, prompts), PlainReading(model, prompts)):
                steps = [reading.hidden, reading.step(first, 0, seen[None])]
                steps.append(reading.step(second, 1, below))
                reading.drop(2)
                steps.append(reading.step(second.flip(1), 1, below))
                states.append(torch.cat(steps, dim=1))
    except torch.OutOfMemoryError:
        raise
    except Exception as refusal:  # its author's choice
        return f"it takes no mask over pairs of tokens ({type(refusal).__name__})"
    error = difference(*states)
    if error < largest_difference(model.get_input_embeddings().weight.dtype):
        return None
    return f"it heeds no mask over pairs of tokens (states differ by {error:.1g})"


def read(model: Any, ids: Tensor, lengths: Tensor, room: int) -> Reading:
    """Reads prompts in the fastest of the ways that `model` allows at their length.

    Args:
        model: a causal LM, in eval mode.
        ids: [users, longest] prompts; what stands behind a shorter one is never seen.
        lengths: [users] tokens of each; all alike unless `knows_layers` says yes.
        room: tokens that will stand behind each prompt at most.
    """
    tokens = ids.shape[1] + room
    if knows_layers(model, tokens):
        return LayerReading(model, ids, lengths, room)
    if hides(model.config, tokens) is None and why_not_side_by_side(model) is None:
        return LibraryReading(model, ids)
    return PlainReading(model, ids)


class LibraryReading:
    """Reading by calls of the whole model.

    Args:
        model: a causal LM that heeds a mask over pairs of tokens (`why_not_side_by_side`).
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


class PlainReading:
    """Reading of one sequence per token, from its first token on; nothing is kept.

    Args:
        model: any causal LM.
        ids: [users, length] prompts of one length.
    """

    def __init__(self, model: Any, ids: Tensor) -> None:
        self.model, self.ids = model, ids
        self.behind = ids[:, :0]
        self.hidden = self._last_states(ids)[:, None]

    def step(self, tokens: Tensor, depth: int, seen: Tensor) -> Tensor:
        """See `Reading`."""
        users, count = tokens.shape
        self.behind = torch.cat([self.behind, tokens], dim=1)
        # Each sees as many tokens behind its prompt, itself the last: a row of them is left.
        chosen = seen.expand(users, -1, -1).nonzero()[:, 2].view(users, count * (depth + 1))
        tails = self.behind.gather(1, chosen).view(users, count, depth + 1)
        prompts = self.ids[:, None].expand(-1, count, -1)
        rows = torch.cat([prompts, tails], dim=2).flatten(0, 1)
        return self._last_states(rows).view(users, count, -1)

    def drop(self, count: int) -> None:
        """See `Reading`."""
        self.behind = self.behind[:, : self.behind.shape[1] - count]

    def _last_states(self, rows: Tensor) -> Tensor:
        """[rows, d] states of the last token of each of `rows` [rows, length]."""
        size, found = max(1, ROW_TOKENS // rows.shape[1]), []
        for start in range(0, len(rows), size):
            piece = rows[start : start + size]
            output = self.model.base_model(input_ids=piece, use_cache=False)
            found.append(output.last_hidden_state[:, -1])
        return torch.cat(found)
