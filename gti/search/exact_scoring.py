"""Exact scoring: the log-probability of every existing Semantic ID, through the trie.

Beam search keeps the best few prefixes of each level and can lose an item whose prefix looks poor.
Here nothing is lost: the prompt is prefilled once, and every prefix of the trie goes through the
model once, many side by side in one sequence, each seeing the prompt and its own ancestors alone.
The trie is walked depth first in chunks, so that memory does not grow with the number of items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.model.capabilities import check_model
from gti.model.compute import autocast, computed_in
from gti.search.decoding import Beams, Trie, code_log_probabilities
from gti.search.reading import knows_layers, read
from gti.search.user_batches import run_in_batches

NODES = 256
"""Prefixes that go through the model side by side, per user."""


@dataclass(frozen=True)
class Edges:
    """The trie's nodes by number: at each depth they follow one another by parent, then by code.

    Attributes:
        parent: per level [nodes below it] int64, the node above each.
        code: per level [nodes below it] int64, the code that leads to each.
    """

    parent: tuple[Tensor, ...]
    code: tuple[Tensor, ...]

    @classmethod
    def of(cls, trie: Trie) -> "Edges":
        """Reads the edges off the tables of children."""
        places = [(table.flatten() >= 0).nonzero()[:, 0] for table in trie.children]
        sizes = [table.shape[1] for table in trie.children]
        return cls(
            tuple(place // size for place, size in zip(places, sizes, strict=True)),
            tuple(place % size for place, size in zip(places, sizes, strict=True)),
        )

    @cached_property
    def first_child(self) -> tuple[list[int], ...]:
        """Per level [nodes above it + 1] where each node's children begin."""
        starts = []
        for parent in self.parent:
            counts = torch.bincount(parent)
            starts.append([0, *counts.cumsum(0).tolist()])
        return tuple(starts)


class _Walk:
    """One batch of users on their way through the trie.

    Args:
        model: a causal LM, in eval mode.
        trie: of the items that may be named.
        edges: of the trie.
        ids: [users, longest] prompts.
        lengths: [users] tokens of each.
        nodes: prefixes side by side.
    """

    def __init__(
        self, model: Any, trie: Trie, edges: Edges, ids: Tensor, lengths: Tensor, nodes: int
    ) -> None:
        self.model, self.trie, self.edges, self.nodes = model, trie, edges, nodes
        self.users = len(ids)
        self.reading = read(model, ids, lengths, nodes * (len(trie.children) - 1))
        root = self.reading.hidden
        kind = torch.float64 if root.dtype == torch.float64 else torch.float32
        # Per depth [users, nodes]: log-probability of the prefix; mass of what may follow it.
        sizes = [len(parent) for parent in edges.parent]
        self.totals = [torch.zeros(self.users, n, dtype=kind, device=ids.device) for n in sizes]
        self.masses = [
            torch.zeros(self.users, n, dtype=torch.float64, device=ids.device)
            for n in [1, *sizes[:-1]]
        ]
        above = torch.zeros(self.users, 1, dtype=kind, device=ids.device)
        self._score_children(0, 0, root, above)
        seen = torch.zeros(1, 0, dtype=torch.bool, device=ids.device)
        self._descend(0, 0, 1, seen)

    def _score_children(self, level: int, first: int, hidden: Tensor, above: Tensor) -> None:
        """Scores all children of the nodes from number `first` on, whose states are `hidden`."""
        found = code_log_probabilities(self.model, hidden, self.trie.tokens[level])
        last = first + hidden.shape[1]
        starts = self.edges.first_child[level]
        children = slice(starts[first], starts[last])
        parent, code = self.edges.parent[level][children], self.edges.code[level][children]
        self.totals[level][:, children] = above[:, parent - first] + found[:, parent - first, code]
        closed = self.trie.children[level][first:last] < 0
        allowed = found.masked_fill(closed, -torch.inf).double()
        self.masses[level][:, first:last] = allowed.logsumexp(dim=-1).exp()

    def _descend(self, level: int, first: int, last: int, seen: Tensor) -> None:
        """Runs all nodes below the nodes `first` to `last`, chunk by chunk, and what is below them.

        Args:
            level: of the edges between these nodes and their children.
            first: number of the first node, whose chunk stands last in the cache.
            last: one past the last node's number.
            seen: [last − first, nodes in the cache] which of them each node may see.
        """
        if level + 1 == len(self.trie.children):
            return
        starts = self.edges.first_child[level]
        for begin in range(starts[first], starts[last], self.nodes):
            end = min(begin + self.nodes, starts[last])
            parent = self.edges.parent[level][begin:end] - first
            own = torch.eye(end - begin, dtype=torch.bool, device=seen.device)
            below = torch.cat([seen[parent], own], dim=1)
            tokens = self.trie.tokens[level][self.edges.code[level][begin:end]]
            hidden = self.reading.step(tokens.expand(self.users, -1), level, below[None])
            self._score_children(level + 1, begin, hidden, self.totals[level][:, begin:end])
            self._descend(level + 1, begin, end, below)
            self.reading.drop(end - begin)

    def mass_along(self, leaves: Tensor) -> Tensor:
        """[users, levels] masses on the way to one leaf per user."""
        found, node = [], leaves
        for parent, mass in zip(reversed(self.edges.parent), reversed(self.masses), strict=True):
            node = parent[node]
            found.append(mass.gather(1, node[:, None]))
        return torch.cat(found[::-1], dim=1)


@torch.inference_mode()
def exact_search(
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    beam: int,
    *,
    max_tokens: int = 16384,
    dtype: str = "float32",
    nodes: int = NODES,
) -> Beams:
    """The `beam` best of all Semantic IDs for each prompt: what a beam without end would find.

    Args:
        model: a causal LM, in eval mode.
        trie: of the items that may be named.
        prompts: [users] token ids before the Semantic ID.
        beam: length of the list that is kept of all.
        max_tokens: tokens (prompts and prefixes) in the cache for one batch of users; fewer where
            memory runs out.
        dtype: "bfloat16" computes in it; log-probabilities are float32 always.
        nodes: prefixes that go through the model side by side.

    Raises:
        ModelError: a model that is not computed with.
        SearchMemoryError: not even one user fits into memory.
    """
    check_model(model)
    model, dtype = computed_in(model, dtype)
    users, levels = len(prompts), len(trie.children)
    leaves = np.full((users, beam), -1, dtype=np.int64)
    scores = np.full((users, beam), -np.inf, dtype=np.float32)
    mass = np.zeros((users, levels), dtype=np.float64)
    device, edges = trie.children[0].device, Edges.of(trie)
    width = min(beam, trie.num_leaves)

    def search(chosen: IntArray, ids: Tensor, lengths: Tensor) -> None:
        with autocast(device, dtype):
            walk = _Walk(model, trie, edges, ids, lengths, nodes)
        best, found = walk.totals[-1].topk(width, dim=1, sorted=True)
        leaves[chosen, :width] = found.cpu().numpy()
        scores[chosen, :width] = best.cpu().numpy()
        mass[chosen] = walk.mass_along(found[:, 0]).cpu().numpy()

    extra = nodes * (levels - 1)
    alike = not knows_layers(model, max(map(len, prompts), default=0) + extra)
    cut_to = run_in_batches(search, prompts, max_tokens, extra, alike=alike, device=device)
    return Beams(leaves, scores, mass, cut_to)
