"""Beginnings of prompts that no training reaches: each run once and kept within a bound.

Text rows run through a frozen backbone give constants: keys, values, the last hidden state, and
that state's logits on text rows. A prefix that comes again is kept as far as the bound allows; any
other is run where it is needed. What all prefixes of a task have in common (a system prompt, the
first words of a wording) is its lead: run once, and its prefixes behind it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from gti.data.dataset import IntArray
from gti.model.capabilities import row_scale
from gti.model.compute import Computing
from gti.model.head import others_logsumexp
from gti.train.batches import is_out_of_memory
from gti.train.packed_attention import NOTHING, Behind, LayerStates, pack, run_packed
from gti.train.shared_histories import common_start

PREFIX_BYTES = {"cpu": 1 << 27, "cuda": 1 << 32}
"""Keys and values that are kept, at most: 128 MiB on a CPU, 4 GiB on an accelerator."""
MOST_PREFIX_BYTES = 1 << 32
"""As many at most on a CPU where a bfloat16 copy computes and memory is free."""


def most_bytes(device: torch.device, copied: bool) -> int:
    """Bytes of keys and values that are kept, unless a caller says otherwise.

    On a CPU, where a bfloat16 copy computes: the largest power of two within a quarter of the
    memory that is available, so that the same machine mostly keeps the same. In float32 it is a
    constant: what is kept and what is run anew decides in which order sums are made.

    Args:
        device: where they are kept.
        copied: whether a copy computes.
    """
    least = PREFIX_BYTES[device.type]
    if device.type != "cpu" or not copied:
        return least
    quarter = available_bytes() // 4
    return min(MOST_PREFIX_BYTES, max(least, 1 << max(0, quarter.bit_length() - 1)))


def available_bytes() -> int:
    """Memory that this machine can give without swapping; 0 where it does not say (not Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    sizes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * sum(sizes)


@dataclass(frozen=True)
class Prefix:
    """What is constant behind one prefix.

    Attributes:
        behind: where its keys and values are.
        hidden: [d] its last hidden state.
        others: log-sum-exp of that state's logits on all rows that are not trained.
    """

    behind: Behind
    hidden: Tensor
    others: Tensor


@dataclass(frozen=True)
class Run:
    """One sequence that was run without gradients.

    Attributes:
        tokens: how many tokens it has.
        before: constant tokens that it stands behind.
        states: how many of its hidden states met the head.
    """

    tokens: int
    before: int
    states: int


def common_lead(prefixes: Sequence[IntArray]) -> IntArray:
    """The longest common beginning of `prefixes`, shorter than each; empty for one prefix."""
    if len(prefixes) < 2:
        return prefixes[0][:0]
    length = min(len(prefix) for prefix in prefixes) - 1
    for prefix in prefixes[1:]:
        length = min(length, common_start(prefixes[0], prefix))
    return prefixes[0][:length]


class ConstantPrefixes:
    """Constants behind prefixes, which are named by their token ids as bytes.

    Args:
        computing: whose model is the frozen causal LM, in eval mode and attending as packed.
        matrices: embedding matrix and head, the same tensor where they are tied.
        new_ids: the trained rows.
        coming: task and prefix [length] of all examples that will come, repeats included: what
            comes once is not kept.
        bound: bytes of keys and values to keep; default `most_bytes`.

    Attributes:
        gave_up: whether memory ran out, so that nothing is kept any more.
    """

    def __init__(
        self,
        computing: Computing,
        matrices: tuple[Tensor, Tensor],
        new_ids: Tensor,
        coming: Iterable[tuple[str, IntArray]],
        bound: int | None = None,
    ) -> None:
        self.computing, self.model = computing, computing.model
        self.embedding, self.head = matrices
        self.scale = row_scale(self.model)
        self.new_ids = new_ids
        self.bound = most_bytes(new_ids.device, computing.copied) if bound is None else bound
        self.gave_up = False
        uses: Counter[bytes] = Counter()
        tasks: dict[str, dict[bytes, IntArray]] = {}
        for task, prefix in coming:
            key = prefix.tobytes()
            uses[key] += 1
            tasks.setdefault(task, {})[key] = prefix
        # The most used first, so that a shared instruction is kept before an item's text.
        self._again = [key for key, count in uses.most_common() if count > 1]
        self._lead_of: dict[bytes, bytes] = {}
        for prefixes in tasks.values():
            lead = common_lead(list(prefixes.values()))
            if len(lead):
                self._lead_of |= dict.fromkeys(prefixes, lead.tobytes())
        self._leads: dict[bytes, Behind] = {}
        self._lead_layers: list[LayerStates] = []
        self._pool: list[LayerStates] | None = None  # made once a token's size is known
        self._starts: dict[bytes, int] = {}
        self._kept: dict[bytes, Prefix] = {}

    @torch.no_grad()
    def get(self, wanted: Mapping[bytes, IntArray]) -> tuple[dict[bytes, Prefix], list[Run]]:
        """The prefixes by key, and what had to be run for them.

        Args:
            wanted: key → [length] token ids, at least one.
        """
        missing = {key: ids for key, ids in wanted.items() if key not in self._kept}
        if not missing:
            return {key: self._kept[key] for key in wanted}, []
        runs = self._run_leads() if self._pool is None else []
        found = self._run(missing)
        lengths = {key: len(self._lead(key).places) for key in missing}
        if self._pool is None:
            self._try_to_make_pool(next(iter(found.values())).behind.layers)
        for key, ids in missing.items():
            runs.append(Run(len(ids) - lengths[key], lengths[key], 1))
        self._keep({key: prefix for key, prefix in found.items() if key in self._starts})
        return {key: self._kept[key] if key in self._kept else found[key] for key in wanted}, runs

    def catch_up(self, wanted: Mapping[bytes, IntArray]) -> None:
        """Does what `get` would, where that keeps anything, for a stage that goes on.

        Prefixes are run beside the same others as the first time: their constants then have the
        same bits.
        """
        first = self._pool is None and bool(wanted)
        if first or any(key in self._starts and key not in self._kept for key in wanted):
            self.get(wanted)

    def give_up(self) -> bool:
        """Keeps nothing from now on: prefixes are run where they are needed, with the same result.

        Returns:
            Whether anything was kept.
        """
        kept, self.gave_up = bool(self._pool or self._lead_layers), True
        self.bound, self._pool, self._lead_layers = 0, [], []
        for places in (self._leads, self._starts, self._kept):
            places.clear()
        return kept

    def _lead(self, key: bytes) -> Behind:
        """The lead that the prefix `key` stands behind."""
        return self._leads.get(self._lead_of.get(key, b""), NOTHING)

    def _run_leads(self) -> list[Run]:
        """Runs all leads, unless the bound has no room for them."""
        keys = list(dict.fromkeys(self._lead_of.values()))
        if not keys:
            return []
        leads = [np.frombuffer(key, dtype=np.int64) for key in keys]
        layers, _, places = self._forward(leads, [NOTHING] * len(leads))
        if _token_bytes(layers) * sum(map(len, leads)) <= self.bound:
            self._lead_layers = layers
            self._leads = {
                key: Behind(layers, place) for key, place in zip(keys, places, strict=True)
            }
        return [Run(len(ids), 0, 0) for ids in leads]

    def _run(self, prefixes: Mapping[bytes, IntArray]) -> dict[bytes, Prefix]:
        """Runs `prefixes`, each behind its lead."""
        leads = [self._lead(key) for key in prefixes]
        rests = [
            ids[len(lead.places) :] for ids, lead in zip(prefixes.values(), leads, strict=True)
        ]
        layers, last, places = self._forward(rests, leads)
        with self.computing.autocast():
            others = others_logsumexp(last, self.head, self.new_ids)
        offset = 0
        if self._lead_layers:  # one place for leads and what stands behind them
            offset = len(self._lead_layers[0][0])
            layers = [
                (torch.cat([lead[0], rest[0]]), torch.cat([lead[1], rest[1]]))
                for lead, rest in zip(self._lead_layers, layers, strict=True)
            ]
        return {
            key: Prefix(
                Behind(layers, np.concatenate([leads[row].places, offset + places[row]])),
                last[row],
                others[row],
            )
            for row, key in enumerate(prefixes)
        }

    def _forward(
        self, sequences: Sequence[IntArray], behind: Sequence[Behind]
    ) -> tuple[list[LayerStates], Tensor, list[IntArray]]:
        """Runs `sequences`, each behind something.

        Returns:
            Keys and values of all tokens per layer; [sequences, d] last hidden states; where each
            sequence's tokens are in the layers.
        """
        device = self.embedding.device
        layers: list[LayerStates] = []
        packed = pack([len(ids) for ids in sequences], behind, self.embedding, layers)
        ids = np.concatenate([sequences[row] for row in packed.order])
        steps = [len(behind[row].places) + np.arange(len(sequences[row])) for row in packed.order]
        rows = embedding(torch.from_numpy(ids).to(device), self.embedding)
        with self.computing.autocast():
            hidden = run_packed(
                self.model,
                rows if self.scale == 1.0 else rows * self.scale,
                torch.from_numpy(np.concatenate(steps)).to(device),
                packed,
            )
        places: list[IntArray] = [np.empty(0, dtype=np.int64)] * len(sequences)
        for start, row in zip(packed.starts, packed.order, strict=True):
            places[row] = start + np.arange(len(sequences[row]))
        ends = torch.from_numpy(np.array([place[-1] for place in places])).to(device)
        return layers, hidden[ends], places

    def _try_to_make_pool(self, like: Sequence[LayerStates]) -> None:
        """Makes the pool, or gives up where memory does not suffice for it."""
        try:
            self._make_pool(like)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self.give_up()

    def _make_pool(self, like: Sequence[LayerStates]) -> None:
        """Makes room for the leads and as many prefixes that come again as the bound allows."""
        token = _token_bytes(like)
        start = end = len(self._lead_layers[0][0]) if self._lead_layers else 0
        for key in self._again:
            length = len(key) // np.dtype(np.int64).itemsize - len(self._lead(key).places)
            if (end + length) * token <= self.bound:
                self._starts[key] = end
                end += length
        pool: list[LayerStates] = []
        for layer in like:
            rooms = [states.new_zeros(end, *states.shape[1:]) for states in layer]
            for room, states in zip(rooms, layer, strict=True):
                room[:start] = states[:start]
            pool.append((rooms[0], rooms[1]))
        self._pool = pool  # whole or not at all: memory may run out on the way

    def _keep(self, found: Mapping[bytes, Prefix]) -> None:
        """Copies the prefixes of one run to their places in the pool."""
        if not found or self._pool is None:
            return
        here, there = [], []
        kept: dict[bytes, Prefix] = {}
        for key, prefix in found.items():
            lead = self._lead(key).places
            rest = prefix.behind.places[len(lead) :]
            room = self._starts[key] + np.arange(len(rest))
            here.append(rest)
            there.append(room)
            behind = Behind(self._pool, np.concatenate([lead, room]))
            kept[key] = Prefix(behind, prefix.hidden, prefix.others)
        source = torch.from_numpy(np.concatenate(here)).to(self.new_ids.device)
        target = torch.from_numpy(np.concatenate(there)).to(self.new_ids.device)
        layers = next(iter(found.values())).behind.layers
        for rooms, constants in zip(self._pool, layers, strict=True):
            for pool, constant in zip(rooms, constants, strict=True):
                pool[target] = constant[source]
        self._kept |= kept  # once all is copied: memory may run out on the way


def _token_bytes(layers: Sequence[LayerStates]) -> int:
    """Bytes of one token's keys and values in all layers."""
    return sum(states[0].nbytes for layer in layers for states in layer)
