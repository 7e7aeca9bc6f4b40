"""Reads prompts with a model and then, step by step, tokens that stand behind them side by side.

Two ways with one interface. `LibraryReading` calls the model as a whole, for any causal LM.
`LayerReading` calls the parts of its layers, for layers of a known shape: of the last layer it
computes keys and values at every token of a prompt and all else at the last token alone, it reads
prompts of unequal lengths side by side, and it keeps keys and values in place. Same numbers, up to
the order of floating-point sums.
"""

from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gti.model.capabilities import hidden_dependence, trying

KNOWN_LAYERS = ("LlamaDecoderLayer", "Qwen3DecoderLayer")
"""Norm, attention with rotary positions, residual; norm, MLP, residual."""
PART_TOKENS = {"cpu": 1024}
"""Tokens of prompts that go through all layers at once, so that they stay in a core's cache."""

TRIED: WeakKeyDictionary[torch.nn.Module, tuple[object, str | None]] = WeakKeyDictionary()
"""Models that were tried → what they were made of then, and what came out."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and signed sines of rotary positions, [users or 1, tokens or 1, 1, head dimension]."""


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


class LayerReading:
    """Reading layer by layer.

    Args:
        model: a causal LM of which `knows_layers` holds.
        ids: [users, longest] prompts; what stands behind a shorter one is never seen.
        lengths: [users] tokens of each.
        room: tokens that will stand behind each prompt at most.
    """

    def __init__(self, model: Any, ids: Tensor, lengths: Tensor, room: int) -> None:
        self.base = model.base_model
        self.users, self.length = ids.shape
        self.lengths, self.room, self.behind = lengths, room, 0
        # [users, 1, longest]: what stands behind the shorter prompts; null where all are alike.
        places = torch.arange(self.length, device=ids.device)
        self.padding = None
        if bool((lengths < self.length).any()):
            self.padding = (places >= lengths[:, None])[:, None]
        # Per layer [users, longest + room, kv heads, head dimension].
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        size = self.users
        if ids.device.type in PART_TOKENS:
            size = max(1, PART_TOKENS[ids.device.type] // self.length)
        parts = range(0, self.users, size)
        self.hidden = torch.cat([self._prompts(ids, slice(at, at + size)) for at in parts])

    def step(self, tokens: Tensor, depth: int, seen: Tensor) -> Tensor:
        """See `Reading`."""
        hidden = self.base.embed_tokens(tokens)
        rotation = self._rotation(hidden, (self.lengths + depth)[:, None])
        start = self.length + self.behind
        self.behind += tokens.shape[1]
        stop = self.length + self.behind
        hides = ~seen
        if self.padding is not None:
            padding = self.padding.expand(-1, tokens.shape[1], -1)
            hides = torch.cat([padding, hides.expand(self.users, -1, -1)], dim=-1)
        mask = hidden.new_zeros(len(hides), 1, tokens.shape[1], stop)
        mask[..., stop - hides.shape[-1] :].masked_fill_(hides[:, None], -torch.inf)
        everyone, place = slice(0, self.users), slice(start, stop)
        for number, layer in enumerate(self.base.layers):
            normed = layer.input_layernorm(hidden)
            self._keep(number, normed, rotation, everyone, place)
            query = self._states(layer.self_attn, "q", normed, rotation)
            hidden = self._finish(number, hidden, query, everyone, mask, stop)
        states: Tensor = self.base.norm(hidden)
        return states

    def drop(self, count: int) -> None:
        """See `Reading`."""
        self.behind -= count

    def _prompts(self, ids: Tensor, users: slice) -> Tensor:
        """[users of the slice, 1, d] states after their prompts."""
        ids, last = ids[users], self.lengths[users] - 1
        hidden = self.base.embed_tokens(ids)
        rotation = self._rotation(hidden, torch.arange(self.length, device=ids.device)[None])
        final = len(self.base.layers) - 1
        for number, layer in enumerate(self.base.layers):
            normed, mask = layer.input_layernorm(hidden), None
            self._keep(number, normed, rotation, users, slice(0, self.length))
            if number == final:
                rows = torch.arange(len(ids), device=ids.device)
                hidden, normed = hidden[rows, last][:, None], normed[rows, last][:, None]
                rotation = (rotation[0][0, last][:, None], rotation[1][0, last][:, None])
                if self.padding is not None:
                    mask = hidden.new_zeros(len(ids), 1, 1, self.length)
                    mask.masked_fill_(self.padding[users, None], -torch.inf)
            query = self._states(layer.self_attn, "q", normed, rotation)
            hidden = self._finish(number, hidden, query, users, mask, self.length)
        states: Tensor = self.base.norm(hidden)
        return states

    def _rotation(self, hidden: Tensor, positions: Tensor) -> Rotation:
        """Rotary cosines and signed sines for `positions` [users or 1, tokens or 1]."""
        cosines, sines = self.base.rotary_emb(hidden, positions)
        half = sines.shape[-1] // 2
        signed = torch.cat([-sines[..., :half], sines[..., half:]], dim=-1)
        return cosines[:, :, None], signed[:, :, None]

    def _states(self, attention: Any, name: str, normed: Tensor, rotation: Rotation) -> Tensor:
        """[users, tokens, heads, head dimension] rotated queries ("q") or keys ("k")."""
        states = getattr(attention, f"{name}_proj")(normed)
        states = states.view(*normed.shape[:2], -1, attention.head_dim)
        norm = getattr(attention, f"{name}_norm", None)
        if norm is not None:
            states = norm(states)
        cosines, signed = rotation
        turned: Tensor = (states * cosines).addcmul_(
            states.roll(attention.head_dim // 2, dims=-1), signed
        )
        return turned

    def _keep(
        self, number: int, normed: Tensor, rotation: Rotation, users: slice, place: slice
    ) -> None:
        """Puts keys and values of [users, tokens, d] normed states of a layer where they belong."""
        attention = self.base.layers[number].self_attn
        values = attention.v_proj(normed).view(*normed.shape[:2], -1, attention.head_dim)
        if number == len(self.keys):
            shape = (self.users, self.length + self.room, *values.shape[2:])
            self.keys.append(values.new_empty(shape))
            self.values.append(values.new_empty(shape))
        self.keys[number][users, place] = self._states(attention, "k", normed, rotation)
        self.values[number][users, place] = values

    def _finish(
        self,
        number: int,
        hidden: Tensor,
        query: Tensor,
        users: slice,
        mask: Tensor | None,
        stop: int,
    ) -> Tensor:
        """[users, tokens, d] states after a layer.

        Args:
            number: of the layer.
            hidden: [users, tokens, d] states before it, overwritten.
            query: [users, tokens, heads, head dimension].
            users: whose keys and values are attended to.
            mask: [users or 1, 1, tokens, stop] added to the scores; null where a single token sees
                all, or each sees what stands before it.
            stop: up to which place keys and values are attended to.
        """
        layer = self.base.layers[number]
        key, value = self.keys[number][users, :stop], self.values[number][users, :stop]
        repeats = query.shape[2] // key.shape[2]
        if mask is not None and query.device.type != "cpu" and repeats > 1:
            # There the fused kernels take either a mask or shared keys and values.
            key, value = (x.repeat_interleave(repeats, dim=2) for x in (key, value))
            repeats = 1
        out = scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=mask,
            is_causal=mask is None and query.shape[1] > 1,
            scale=layer.self_attn.scaling,
            enable_gqa=repeats > 1,
        )
        hidden += layer.self_attn.o_proj(out.transpose(1, 2).flatten(2))
        hidden += layer.mlp(layer.post_attention_layernorm(hidden))
        return hidden
