"""Runs packed sequences behind constant prefixes: what no trained row reaches is computed once.

With causal attention a sequence's beginning does not depend on what follows. Where it holds no
trained row, its keys and values are constants that the rest attends to. Sequences stand one behind
another without padding; attention alone pads, group by group.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gti.data.dataset import IntArray
from gti.model.capabilities import (
    Tried,
    difference,
    hides,
    largest_difference,
    trial_ids,
    try_original,
    trying,
)

ATTENTION = "gti_packed"
"""Name under which transformers finds `packed_attention`."""
SPREAD = 2.0
"""In a group the longest sequence has at most this many times the shortest's tokens, and two."""
SHORT = 128
"""Keys up to which plain matrix products are faster on a CPU than the fused kernel's backward."""

CHANGING_SCORES = ("softcap", "s_aux", "position_bias", "head_mask")
"""What a layer may ask of its attention that this one does not do. A sliding window is none of it:
`can_pack` knows how long a sequence may be that does not fill one."""
TRIED: Tried = WeakKeyDictionary()
"""What came out for `can_pack`."""

LayerStates = tuple[Tensor, Tensor]
"""Keys and values of one layer, [tokens, kv heads, head dimension] each."""


@dataclass(frozen=True)
class Behind:
    """The tokens that a sequence stands behind: constants, or tokens of the same run.

    Attributes:
        layers: keys and values per layer that hold them, among others; empty where the run itself
            computes them.
        places: [length] where in `layers` they are, or among the tokens of the run's sequences as
            `pack` is given them; empty where a sequence stands behind nothing.
    """

    layers: Sequence[LayerStates]
    places: IntArray


NOTHING = Behind((), np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class Group:
    """Sequences that attend at once, padded to one length, behind prefixes padded to one length.

    Attributes:
        tokens: which tokens of the packed run are theirs.
        sequences: how many they are.
        padded: [sequences · longest] place among `tokens` of each padded position; null where
            nothing is padded.
        real: [tokens] place among the padded positions of each token; null where nothing is
            padded.
        layers: keys and values per layer that the prefixes are taken from; empty: the run's own.
        prefix: [sequences · longest prefix] places in them; null without prefixes.
        mask: [sequences, 1, longest, longest prefix + longest] added to the attention's scores.
    """

    tokens: slice
    sequences: int
    padded: Tensor | None
    real: Tensor | None
    layers: Sequence[LayerStates]
    prefix: Tensor | None
    mask: Tensor

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layer: int, scale: float) -> Tensor:
        """[tokens of the group, heads, head dimension]; arguments hold all tokens of the run."""
        before: Sequence[Tensor] = ()
        if self.prefix is not None:
            source = self.layers[layer] if self.layers else (key, value)
            before = [self._apart(_chosen(states, self.prefix)) for states in source]
        query, key, value = (self._pad(x[self.tokens]) for x in (query, key, value))
        if before:
            key, value = torch.cat([before[0], key], dim=1), torch.cat([before[1], value], dim=1)
        attention = _short if _is_short(key) else _fused
        out = attention(query, key, value, self.mask, scale).flatten(0, 1)
        return out if self.real is None else out.index_select(0, self.real)

    def _pad(self, states: Tensor) -> Tensor:
        if self.padded is not None:
            states = states.index_select(0, self.padded)
        return self._apart(states)

    def _apart(self, states: Tensor) -> Tensor:
        """[sequences, tokens of each, …] from all sequences' tokens in one row."""
        return states.reshape(self.sequences, -1, *states.shape[1:])


def _chosen(states: Tensor, places: Tensor) -> Tensor:
    """The tokens `places` of `states`; what several share adds up its gradient in float32."""
    if states.requires_grad and states.dtype == torch.bfloat16:
        return states.float().index_select(0, places).to(states.dtype)
    return states.index_select(0, places)


def _is_short(key: Tensor) -> bool:
    return key.device.type == "cpu" and key.shape[1] <= SHORT


def _short(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Attention as matrix products; shapes as in `_fused`."""
    count, length, heads, width = query.shape
    kv = key.shape[2]
    # Heads that share keys and values become further queries of one product.
    asked = (query * scale).reshape(count, length, kv, -1, width).permute(0, 2, 3, 1, 4)
    asked = asked.reshape(count * kv, -1, width)
    scores = torch.bmm(asked, key.permute(0, 2, 3, 1).reshape(count * kv, width, -1))
    weights = (scores.view(count, heads, length, -1) + mask).softmax(dim=-1)
    out = torch.bmm(
        weights.view(count * kv, -1, weights.shape[-1]),
        value.transpose(1, 2).reshape(count * kv, -1, value.shape[-1]),
    )
    return out.view(count, heads, length, -1).transpose(1, 2)


def _fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    """[sequences, longest, heads, head dimension] the library's attention.

    Args:
        query: [sequences, longest, heads, head dimension].
        key: [sequences, longest prefix + longest, kv heads, head dimension].
        value: as `key`.
        mask: [sequences, 1, longest, longest prefix + longest].
        scale: of the scores.
    """
    repeats = query.shape[2] // key.shape[2]
    if repeats > 1:
        key, value = (x.repeat_interleave(repeats, dim=2) for x in (key, value))
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    out = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    return out.transpose(1, 2)


@dataclass(frozen=True)
class Packed:
    """How the sequences of a packed run stand and attend.

    Attributes:
        order: [sequences] the sequences in the order in which their tokens stand.
        starts: [sequences] where each one's tokens begin, in that order.
        groups: how they attend, in that order.
        kept: receives keys and values per layer; null where they are not needed.
    """

    order: IntArray
    starts: IntArray
    groups: list[Group]
    kept: list[LayerStates] | None = None


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: object,
    *,
    scaling: float,
    packed: Packed,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in the place of its own attention.

    Args:
        module: the attention layer.
        query: [1, heads, tokens, head dimension].
        key: [1, kv heads, tokens, head dimension].
        value: as `key`.
        attention_mask: null: transformers makes no mask for attention that it does not know.
        scaling: of the scores.
        packed: how the tokens attend.
        others: what else the layer asks for.

    Raises:
        TypeError: the layer asks for something else beside that.
    """
    asked = [name for name in CHANGING_SCORES if others.get(name) is not None]
    if asked:
        raise TypeError(f"packed attention has no {asked[0]}")
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))
    if packed.kept is not None:
        packed.kept.append((key, value))
    out = [group.attend(query, key, value, module.layer_idx, scaling) for group in packed.groups]
    return torch.cat(out)[None], None


def pack(
    lengths: Sequence[int],
    behind: Sequence[Behind],
    like: Tensor,
    kept: list[LayerStates] | None = None,
) -> Packed:
    """Puts sequences in order and in groups.

    Args:
        lengths: [sequences] tokens of each, at least one.
        behind: [sequences] what each stands behind.
        like: a tensor of the run's device and dtype.
        kept: see `Packed`.
    """
    sizes = np.array(lengths, dtype=np.int64)
    # One group takes its prefixes from one place; places are numbered as they first come.
    places = {id(place.layers): None for place in behind}
    numbers = {place: number for number, place in enumerate(places)}
    source = np.array([numbers[id(place.layers)] for place in behind])
    order = np.lexsort((sizes, source))
    cuts = [0]
    for place in range(1, len(order)):
        first, here = order[cuts[-1]], order[place]
        if source[here] != source[first] or sizes[here] > SPREAD * sizes[first] + 2:
            cuts.append(place)
    starts = np.cumsum(sizes[order]) - sizes[order]
    behind = _moved(sizes, order, behind)
    groups = [
        _group(sizes[chosen], [behind[index] for index in chosen], int(starts[start]), like)
        for start, chosen in zip(cuts, np.split(order, cuts[1:]), strict=True)
    ]
    return Packed(order, starts, groups, kept)


def _moved(sizes: IntArray, order: IntArray, behind: Sequence[Behind]) -> Sequence[Behind]:
    """`behind`, with places among the run's own tokens as they are once these are in `order`."""
    if all(len(place.layers) or not len(place.places) for place in behind):
        return behind
    first = np.cumsum(sizes) - sizes
    moved = np.empty(sizes.sum(), dtype=np.int64)
    moved[np.concatenate([first[row] + np.arange(sizes[row]) for row in order])] = np.arange(
        len(moved)
    )
    return [place if len(place.layers) else Behind((), moved[place.places]) for place in behind]


def _group(lengths: IntArray, behind: Sequence[Behind], start: int, like: Tensor) -> Group:
    """The group of sequences of `lengths`, whose tokens begin at `start` of the packed run."""
    count, longest = len(lengths), int(lengths.max())
    first = (np.cumsum(lengths) - lengths)[:, None]
    steps = np.arange(longest)
    real = steps < lengths[:, None]
    before = np.array([len(place.places) for place in behind])[:, None]
    shown = np.arange(before.max()) < before
    prefix = np.zeros(shown.shape, dtype=np.int64)
    prefix[shown] = np.concatenate([place.places for place in behind])
    reach = shown.shape[1]
    allowed = np.empty((count, longest, reach + longest), dtype=bool)
    allowed[:, :, :reach] = shown[:, None]
    allowed[:, :, reach:] = np.tri(longest, dtype=bool)
    mask = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    mask.masked_fill_(torch.from_numpy(~allowed).to(like.device), -torch.inf)
    even = bool(real.all())

    def place(index: IntArray) -> Tensor:
        return torch.from_numpy(index.ravel()).to(like.device)

    return Group(
        tokens=slice(start, start + int(lengths.sum())),
        sequences=count,
        # What pads is the sequence's own first token: finite, and seen by padding alone.
        padded=None if even else place(first + np.where(real, steps, 0)),
        real=None if even else place(np.flatnonzero(real)),
        layers=behind[0].layers,
        prefix=place(prefix) if reach else None,
        mask=mask[:, None],
    )


def run_packed(model: Any, embedded: Tensor, positions: Tensor, packed: Packed) -> Tensor:
    """[tokens, d] last hidden states, after the final norm.

    Args:
        model: a causal LM within `packed_attending`.
        embedded: [tokens, d] input embeddings.
        positions: [tokens] places in the whole sequences, prefixes counted.
        packed: their order and groups.
    """
    output = model.base_model(
        inputs_embeds=embedded[None],
        position_ids=positions[None],
        use_cache=False,
        packed=packed,
    )
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


@contextmanager
def packed_attending(model: Any) -> Iterator[None]:
    """Has `model` attend by `packed_attention` for as long as it lasts."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, packed_attention)
    before = model.config._attn_implementation
    model.config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        model.config._attn_implementation = before


def can_pack(model: Any, tokens: int) -> bool:
    """Whether `model` gives the same hidden states packed behind a prefix as it does plainly.

    What it declares is read first, then two short sequences are tried both ways: an attention
    with sinks, caps or biases of its own shows in the numbers.

    Args:
        model: a causal LM.
        tokens: of the longest sequence, with what it stands behind.
    """
    config = model.config
    if (
        not getattr(model, "_supports_attention_backend", False)
        or getattr(config, "is_encoder_decoder", False)
        or hides(config, tokens) is not None
    ):
        return False
    return try_original(TRIED, model, _try_both_ways) is None


def _try_both_ways(model: Any) -> str | None:
    """What differs packed behind prefixes; null where nothing does."""
    try:
        with trying(model):
            error = _largest_error(model)
    except torch.OutOfMemoryError:
        raise
    except Exception as refusal:  # its author's choice: its attention is not handed what it takes
        return f"it does not run behind prefixes ({type(refusal).__name__})"
    if error < largest_difference(model.get_input_embeddings().weight.dtype):
        return None
    return f"behind prefixes it gives other states (they differ by {error:.1g})"


def _largest_error(model: Any) -> float:
    """Largest difference between two sequences behind prefixes and whole, over the largest."""
    matrix, ids = model.get_input_embeddings().weight, trial_ids(model, 2, 6)
    plain = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    embedded = model.get_input_embeddings()(ids)
    cuts, places = (2, 3), torch.arange(6, device=matrix.device)
    kept: list[LayerStates] = []
    with packed_attending(model):
        prefixes = torch.cat([row[:cut] for row, cut in zip(embedded, cuts, strict=True)])
        at = torch.cat([places[:cut] for cut in cuts])
        run_packed(model, prefixes, at, pack(cuts, [NOTHING] * 2, matrix, kept))
        behind = [Behind(kept, places[:cut].numpy(force=True)) for cut in cuts]
        behind[1] = Behind(kept, behind[1].places + cuts[0])
        rest = pack([6 - cut for cut in cuts], behind, matrix)
        tails = torch.cat([embedded[index, cuts[index] :] for index in rest.order])
        at = torch.cat([places[cuts[index] :] for index in rest.order])
        found = run_packed(model, tails, at, rest)
    expected = torch.cat([plain[index, cuts[index] :] for index in rest.order])
    return difference(found, expected)
