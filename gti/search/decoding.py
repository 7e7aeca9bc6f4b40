"""Trie-constrained beam search over existing items, in L steps of tensors.

Scores are sums of log-probabilities over the full vocabulary, not renormalised over the trie. The
history is prefilled once per user; at each level all beams of a user run side by side in one
sequence, each blind to the others (an explicit mask over its ancestors), so that the history's keys
and values are never copied per beam.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds
from gti.model.capabilities import check_model
from gti.model.compute import autocast, computed_in
from gti.model.head import log_probabilities
from gti.model.vocabulary import Vocabulary
from gti.search.reading import knows_layers, read
from gti.search.user_batches import run_in_batches


class Leaves(Protocol):
    """What ranking must know of a trie: which items stand at each of its leaves."""

    @property
    def num_leaves(self) -> int:
        """Number of leaves."""

    @property
    def leaf_of(self) -> IntArray:
        """[num_items] each item's leaf."""

    @property
    def leaf_start(self) -> IntArray:
        """[leaves + 1] where each leaf's items begin, sorted by leaf."""


@dataclass(frozen=True)
class Trie:
    """All prefixes of existing Semantic IDs.

    Attributes:
        children: per level [nodes at that depth, num_codes] int64: the child's number, or −1.
        tokens: per level [num_codes] token ids of its codes.
        items_of: [items] item numbers sorted by leaf.
        leaf_start: [leaves + 1] where each leaf's items begin in `items_of`.
        leaf_of: [num_items] each item's leaf.
    """

    children: tuple[Tensor, ...]
    tokens: tuple[Tensor, ...]
    items_of: IntArray
    leaf_start: IntArray
    leaf_of: IntArray

    @property
    def num_leaves(self) -> int:
        """Number of distinct Semantic IDs."""
        return len(self.leaf_start) - 1

    @property
    def num_levels(self) -> int:
        """Codes of a Semantic ID."""
        return len(self.children)


def build_trie(sids: SemanticIds, vocabulary: Vocabulary, device: torch.device) -> Trie:
    """Builds the trie of `sids` as tensors on `device`."""
    parent = np.zeros(sids.num_items, dtype=np.int64)
    num_nodes = 1
    children = []
    for level in range(sids.num_levels):
        edge = parent * sids.num_codes + sids.codes[:, level]
        edges, parent = np.unique(edge, return_inverse=True)
        table = np.full(num_nodes * sids.num_codes, -1, dtype=np.int64)
        table[edges] = np.arange(len(edges))
        children.append(torch.from_numpy(table.reshape(num_nodes, -1)).to(device))
        num_nodes = len(edges)
    order = np.argsort(parent, kind="stable")
    counts = np.bincount(parent, minlength=num_nodes)
    ids = vocabulary.new_ids.reshape(sids.num_levels, sids.num_codes).to(device)
    return Trie(
        children=tuple(children),
        tokens=tuple(ids),
        items_of=order.astype(np.int64),
        leaf_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        leaf_of=parent.astype(np.int64),
    )


def trie_of_items(
    sids: SemanticIds, vocabulary: Vocabulary, device: torch.device, items: IntArray
) -> Trie:
    """The trie of some `items` of `sids`, by their numbers; in it they are numbered anew."""
    own = SemanticIds(sids.codes[items], sids.num_codes, None, sids.description)
    return build_trie(own, vocabulary, device)


@dataclass(frozen=True)
class Beams:
    """What beam search found for a batch of users, best first.

    Attributes:
        leaves: [users, beam] int64 leaf numbers; −1 where the trie has fewer leaves.
        scores: [users, beam] float32 log-probabilities; −inf beside −1.
        trie_mass: [users, levels] probability mass on the codes that the trie allows, along the
            best beam.
        cut_to: tokens per batch of users after memory ran out; null where it did not.
    """

    leaves: IntArray
    scores: NDArray[np.float32]
    trie_mass: NDArray[np.float64]
    cut_to: int | None = None


@torch.inference_mode()
def beam_search(
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    beam: int,
    *,
    max_tokens: int = 16384,
    dtype: str = "float32",
) -> Beams:
    """Best `beam` Semantic IDs for each prompt.

    Args:
        model: a causal LM, in eval mode.
        trie: of the items that may be named.
        prompts: [users] token ids before the Semantic ID.
        beam: hypotheses kept at each level; never shrunk (a trie with fewer leaves fills less).
        max_tokens: tokens (prompts and beams) in one batch of users; fewer where memory runs out.
        dtype: "bfloat16" computes in it; log-probabilities are float32 always.

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
    device = trie.children[0].device

    def search(chosen: IntArray, ids: Tensor, lengths: Tensor) -> None:
        with autocast(device, dtype):
            found = _search(model, trie, ids, lengths, beam)
        width = found[0].shape[1]
        leaves[chosen, :width] = found[0].cpu().numpy()
        scores[chosen, :width] = found[1].cpu().numpy()
        mass[chosen] = found[2].cpu().numpy()

    extra = beam * (levels - 1)
    alike = not knows_layers(model, max(map(len, prompts), default=0) + extra)
    cut_to = run_in_batches(search, prompts, max_tokens, extra, alike=alike, device=device)
    leaves[np.isneginf(scores)] = -1
    return Beams(leaves, scores, mass, cut_to)


def code_log_probabilities(model: Any, hidden: Tensor, tokens: Tensor) -> Tensor:
    """[…, num_codes] log-probabilities of `tokens` under the full vocabulary.

    Args:
        model: whose head reads `hidden`.
        hidden: [… , d] last hidden states.
        tokens: [num_codes] token ids.

    Returns:
        float64 for a float64 model, else float32.
    """
    head = model.get_output_embeddings()
    if type(head) is torch.nn.Linear and getattr(head, "bias", None) is None:
        found = log_probabilities(hidden.flatten(0, -2), head.weight, tokens)
        return found.view(*hidden.shape[:-1], -1)
    logits: Tensor = head(hidden)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits[..., tokens] - logits.logsumexp(dim=-1, keepdim=True)


def _search(
    model: Any, trie: Trie, ids: Tensor, lengths: Tensor, beam: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Beam search for prompts [users, longest]: leaves, scores [users, width], trie mass."""
    users, device = len(ids), ids.device
    reading = read(model, ids, lengths, beam * (len(trie.children) - 1))
    hidden = reading.hidden
    nodes = torch.zeros(users, 1, dtype=torch.long, device=device)
    totals = torch.zeros(users, 1, device=device)
    masses = torch.zeros(users, 1, 0, dtype=torch.float64, device=device)
    # [users, beams, generated tokens so far]: which of them are a beam's own ancestors.
    ancestors = torch.zeros(users, 1, 0, dtype=torch.bool, device=device)
    for level, (children, tokens) in enumerate(zip(trie.children, trie.tokens, strict=True)):
        log_probabilities = code_log_probabilities(model, hidden, tokens)
        allowed = children[nodes] >= 0
        log_probabilities = log_probabilities.masked_fill(~allowed, -torch.inf)
        here = log_probabilities.double().logsumexp(dim=-1).exp()[..., None]
        masses = torch.cat([masses, here], dim=-1)
        candidates = (totals[..., None] + log_probabilities).flatten(1)
        width = min(beam, candidates.shape[1])
        totals, best = candidates.topk(width, dim=1, sorted=True)
        parent, code = best // len(tokens), best % len(tokens)
        nodes = children[nodes.gather(1, parent), code]
        masses = masses.gather(1, parent[..., None].expand(-1, -1, level + 1))
        if level + 1 == len(trie.children):
            break
        dead = torch.isneginf(totals)
        nodes = nodes.masked_fill(dead, 0)  # scored on, but their total stays −inf
        ancestors = ancestors.gather(1, parent[..., None].expand(-1, -1, ancestors.shape[2]))
        own = torch.eye(width, dtype=torch.bool, device=device).expand(users, -1, -1)
        ancestors = torch.cat([ancestors, own], dim=-1)
        hidden = reading.step(tokens[code], level, ancestors)
    return nodes, totals, masses[:, 0]
