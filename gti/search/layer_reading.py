"""Reads prompts layer by layer, and tokens that stand behind them side by side.

For layers of a known shape (`gti.search.reading.knows_layers`). Of the last layer it computes keys
and values at every token of a prompt and all else at the last token alone, it reads prompts of
unequal lengths side by side and what they all begin with once, and it keeps keys and values in
place.
"""

from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

PART_TOKENS = {"cpu": 1024}
"""Tokens of prompts that go through all layers at once, so that they stay in a core's cache."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and signed sines of rotary positions, [users or 1, tokens or 1, 1, head dimension]."""
Rotations = dict[str | None, Rotation]
"""By kind of layer, where kinds turn by frequencies of their own; else under null."""


def common_length(ids: Tensor, lengths: Tensor) -> int:
    """How many tokens all of several prompts begin with; each keeps one of its own.

    Args:
        ids: [users, longest] prompts.
        lengths: [users] tokens of each.
    """
    if len(ids) < 2:
        return 0
    alike = (ids == ids[:1]).all(dim=0)[: int(lengths.min()) - 1]
    return int(alike.long().cumprod(dim=0).sum())


class LayerReading:
    """Reading layer by layer.

    Args:
        model: a causal LM of which `knows_layers` holds.
        ids: [users, longest] prompts; what stands behind a shorter one is never seen.
        lengths: [users] tokens of each.
        room: tokens that will stand behind each prompt at most.
        share_lead: whether what all prompts begin with is read once; null: with bfloat16 weights
            alone, so that in float32 every bit of a result stays what it was.
    """

    def __init__(
        self,
        model: Any,
        ids: Tensor,
        lengths: Tensor,
        room: int,
        share_lead: bool | None = None,
    ) -> None:
        self.base = model.base_model
        turns = signature(self.base.rotary_emb.forward).parameters
        kinds = self.base.config.layer_types if "layer_type" in turns else None
        # Per layer the key of its rotation.
        self.kinds: list[str | None] = list(kinds or [None] * len(self.base.layers))
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
        if share_lead is None:
            share_lead = model.get_input_embeddings().weight.dtype == torch.bfloat16
        self.lead = common_length(ids, lengths) if share_lead else 0
        if self.lead:
            self._read_lead(ids[:1, : self.lead])
        size = self.users
        if ids.device.type in PART_TOKENS:
            size = max(1, PART_TOKENS[ids.device.type] // (self.length - self.lead))
        parts = range(0, self.users, size)
        self.hidden = torch.cat([self._prompts(ids, slice(at, at + size)) for at in parts])

    def step(self, tokens: Tensor, depth: int, seen: Tensor) -> Tensor:
        """See `Reading`."""
        hidden = self.base.embed_tokens(tokens)
        rotations = self._rotations(hidden, (self.lengths + depth)[:, None])
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
            rotation = rotations[self.kinds[number]]
            normed = layer.input_layernorm(hidden)
            self._keep(number, normed, rotation, everyone, place)
            query = self._states(layer.self_attn, "q", normed, rotation)
            hidden = self._finish(number, hidden, query, everyone, mask, stop)
        states: Tensor = self.base.norm(hidden)
        return states

    def drop(self, count: int) -> None:
        """See `Reading`."""
        self.behind -= count

    def _read_lead(self, ids: Tensor) -> None:
        """Puts keys and values of the lead [1, tokens] where every user's are."""
        hidden = self.base.embed_tokens(ids)
        rotations = self._rotations(hidden, torch.arange(self.lead, device=ids.device)[None])
        everyone, first = slice(0, self.users), slice(0, 1)
        for number, layer in enumerate(self.base.layers):
            rotation = rotations[self.kinds[number]]
            normed = layer.input_layernorm(hidden)
            self._keep(number, normed, rotation, everyone, slice(0, self.lead))
            if number + 1 < len(self.base.layers):
                query = self._states(layer.self_attn, "q", normed, rotation)
                hidden = self._finish(number, hidden, query, first, None, self.lead)

    def _behind_lead(self, like: Tensor) -> Tensor | None:
        """[1, 1, tokens behind the lead, tokens of prompts] hides what comes later; null: no lead.

        Args:
            like: a tensor of the mask's device and dtype.
        """
        if not self.lead:
            return None
        places = torch.arange(self.length, device=like.device)
        mask = like.new_zeros(self.length - self.lead, self.length)
        return mask.masked_fill_(places > places[self.lead :, None], -torch.inf)[None, None]

    def _prompts(self, ids: Tensor, users: slice) -> Tensor:
        """[users of the slice, 1, d] states after their prompts."""
        ids, last = ids[users, self.lead :], self.lengths[users] - 1 - self.lead
        hidden = self.base.embed_tokens(ids)
        places = torch.arange(self.lead, self.length, device=ids.device)
        rotations = self._rotations(hidden, places[None])
        behind_lead = self._behind_lead(hidden)
        final = len(self.base.layers) - 1
        for number, layer in enumerate(self.base.layers):
            normed, mask = layer.input_layernorm(hidden), behind_lead
            rotation = rotations[self.kinds[number]]
            self._keep(number, normed, rotation, users, slice(self.lead, self.length))
            if number == final:
                rows = torch.arange(len(ids), device=ids.device)
                hidden, normed = hidden[rows, last][:, None], normed[rows, last][:, None]
                rotation = (rotation[0][0, last][:, None], rotation[1][0, last][:, None])
                mask = None
                if self.padding is not None:
                    mask = hidden.new_zeros(len(ids), 1, 1, self.length)
                    mask.masked_fill_(self.padding[users, None], -torch.inf)
            query = self._states(layer.self_attn, "q", normed, rotation)
            hidden = self._finish(number, hidden, query, users, mask, self.length)
        states: Tensor = self.base.norm(hidden)
        return states

    def _rotations(self, hidden: Tensor, positions: Tensor) -> Rotations:
        """For `positions` [users or 1, tokens or 1], by kind of layer."""
        rotations: Rotations = {}
        for kind in dict.fromkeys(self.kinds):
            asked = () if kind is None else (kind,)
            cosines, sines = self.base.rotary_emb(hidden, positions, *asked)
            half = sines.shape[-1] // 2
            signed = torch.cat([-sines[..., :half], sines[..., half:]], dim=-1)
            rotations[kind] = cosines[:, :, None], signed[:, :, None]
        return rotations

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
        attended = layer.self_attn.o_proj(out.transpose(1, 2).flatten(2))
        if not hasattr(layer, "pre_feedforward_layernorm"):
            hidden += attended
            hidden += layer.mlp(layer.post_attention_layernorm(hidden))
            return hidden
        hidden += layer.post_attention_layernorm(attended)
        normed = layer.pre_feedforward_layernorm(hidden)
        hidden += layer.post_feedforward_layernorm(layer.mlp(normed))
        return hidden
