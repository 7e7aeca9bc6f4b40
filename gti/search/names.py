"""Beam search and likelihood where items have names of unlike lengths, such as their titles.

A name is a list of tokens whose end stands nowhere else in a name, so that none is the beginning of
another. As `gti.search.decoding` for Semantic IDs: scores are sums of log-probabilities over the
full vocabulary, the end included, not renormalised over the trie nor divided by the length; an item
that is finished keeps its score and its place in the beam while longer names go on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.model.capabilities import check_model
from gti.model.compute import autocast, computed_in
from gti.search.decoding import Beams, code_log_probabilities
from gti.search.likelihood import TargetNll, nll_by_prompt
from gti.search.reading import knows_layers, read
from gti.search.user_batches import run_in_batches


class NamesError(ValueError):
    """Names that no trie can be made of; the message tells which items they are of."""


@dataclass(frozen=True)
class NameTrie:
    """All beginnings of names. Nodes are numbered by depth, parent and token; the root is 0.

    Attributes:
        first_child: [nodes + 1] int64, where each node's children begin, one after another.
        token: [nodes] int64, the token that leads to each; of the root 0, which is never read.
        item: [nodes] int64, the item that is named there; −1 where a name goes on.
        paths: [items, longest name] int64, the nodes on the way to each item; behind its end the
            last of them again.
        inner: per depth from 1 on, the nodes where names go on.
    """

    first_child: Tensor
    token: Tensor
    item: Tensor
    paths: Tensor
    inner: tuple[int, ...]

    @property
    def num_leaves(self) -> int:
        """Number of items, each of which has a leaf of its own."""
        return len(self.paths)

    @property
    def num_levels(self) -> int:
        """None: names have no levels that a probability mass could be told of."""
        return 0

    @property
    def leaf_of(self) -> IntArray:
        """[items] the leaf of each: its own number."""
        return np.arange(len(self.paths))

    @property
    def leaf_start(self) -> IntArray:
        """[items + 1] where the items of each leaf begin among all."""
        return np.arange(len(self.paths) + 1)


def build_name_trie(names: Sequence[Sequence[int]], device: torch.device) -> NameTrie:
    """The trie of `names` [items], each with its end, as tensors on `device`.

    Raises:
        NamesError: an empty name, one that two items have, or one that another begins with.
    """
    lengths = np.array([len(name) for name in names], dtype=np.int64)
    if not len(names) or not lengths.min():
        raise NamesError(f"item {int(lengths.argmin()) if len(names) else 0} has an empty name")
    longest, everyone = int(lengths.max()), np.arange(len(names))
    padded = np.full((len(names), longest), -1, dtype=np.int64)
    for row, name in zip(padded, names, strict=True):
        row[: len(name)] = name
    paths = np.zeros((len(names), longest), dtype=np.int64)
    tokens, parents = [np.zeros(1, dtype=np.int64)], [np.full(1, -1, dtype=np.int64)]
    node, count, inner = np.zeros(len(names), dtype=np.int64), 1, []
    for depth in range(longest):
        going = everyone[lengths > depth]
        edges = np.stack([node[going], padded[going, depth]], axis=1)
        found, place = np.unique(edges, axis=0, return_inverse=True)
        node[going] = count + place.reshape(-1)
        paths[:, depth] = node
        parents.append(found[:, 0])
        tokens.append(found[:, 1])
        count += len(found)
        inner.append(len(np.unique(node[lengths > depth + 1])))
    item = np.full(count, -1, dtype=np.int64)
    item[paths[:, -1]] = everyone
    starts = np.searchsorted(np.concatenate(parents)[1:], np.arange(count + 1)) + 1
    shared = np.flatnonzero((item[paths[:, -1]] != everyone) | (np.diff(starts)[paths[:, -1]] > 0))
    for number in shared[:1]:
        others = np.flatnonzero((paths == paths[number, -1]).any(axis=1))
        other = int(others[others != number][0])
        raise NamesError(
            f"the name of item {number} is that of item {other}, or one that it begins with;"
            " each needs one of its own, with an end that stands nowhere else"
        )
    return NameTrie(
        first_child=torch.from_numpy(starts.astype(np.int64)).to(device),
        token=torch.from_numpy(np.concatenate(tokens)).to(device),
        item=torch.from_numpy(item).to(device),
        paths=torch.from_numpy(paths).to(device),
        inner=tuple(inner),
    )


def _children(trie: NameTrie, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """[…, most] the children of `nodes` […], and which of these places hold one."""
    first = trie.first_child[nodes][..., None]
    counts = trie.first_child[nodes + 1][..., None] - first
    offsets = torch.arange(max(1, int(counts.max())), device=nodes.device)
    there = offsets < counts
    return torch.where(there, first + offsets, 0), there


def _scores_of(model: Any, hidden: Tensor, tokens: Tensor) -> Tensor:
    """[…, n] log-probabilities under the full vocabulary of `tokens` […, n], each by its own state.

    Args:
        model: whose head reads the states.
        hidden: [… or 1 in the last place but one, d] states.
        tokens: token ids.
    """
    distinct, place = torch.unique(tokens, return_inverse=True)
    found = code_log_probabilities(model, hidden, distinct)
    return found.expand(*tokens.shape[:-1], -1).gather(-1, place)


@torch.inference_mode()
def name_search(
    model: Any,
    trie: NameTrie,
    prompts: Sequence[IntArray],
    beam: int,
    *,
    max_tokens: int = 16384,
    dtype: str = "float32",
) -> Beams:
    """Best `beam` items by their names for each prompt; with a beam of all items nothing is lost.

    Args:
        model: a causal LM, in eval mode.
        trie: of the names that may be written.
        prompts: [users] token ids before the name.
        beam: hypotheses kept at each step, finished ones among them; never shrunk.
        max_tokens: tokens (prompts and beams) in one batch of users; fewer where memory runs out.
        dtype: "bfloat16" computes in it; log-probabilities are float32 always.

    Returns:
        Leaves are items; of masses there is no column.

    Raises:
        ModelError: a model that is not computed with.
        SearchMemoryError: not even one user fits into memory.
    """
    check_model(model)
    model, dtype = computed_in(model, dtype)
    leaves = np.full((len(prompts), beam), -1, dtype=np.int64)
    scores = np.full((len(prompts), beam), -np.inf, dtype=np.float32)
    device = trie.token.device
    room = sum(min(beam, count) for count in trie.inner)

    def search(chosen: IntArray, ids: Tensor, lengths: Tensor) -> None:
        with autocast(device, dtype):
            items, totals = _search(model, trie, ids, lengths, beam, room)
        width = items.shape[1]
        leaves[chosen, :width] = items.cpu().numpy()
        scores[chosen, :width] = totals.cpu().numpy()

    alike = not knows_layers(model, max(map(len, prompts), default=0) + room)
    cut_to = run_in_batches(search, prompts, max_tokens, room, alike=alike, device=device)
    leaves[np.isneginf(scores)] = -1
    return Beams(leaves, scores, np.empty((len(prompts), trie.num_levels)), cut_to)


def exact_name_search(
    model: Any, trie: NameTrie, prompts: Sequence[IntArray], beam: int, **others: Any
) -> Beams:
    """The `beam` best of all items: what `name_search` gives where no hypothesis is dropped."""
    found = name_search(model, trie, prompts, max(beam, trie.num_leaves), **others)
    return Beams(found.leaves[:, :beam], found.scores[:, :beam], found.trie_mass, found.cut_to)


def _search(
    model: Any, trie: NameTrie, ids: Tensor, lengths: Tensor, beam: int, room: int
) -> tuple[Tensor, Tensor]:
    """Beam search for prompts [users, longest]: items and scores [users, width], best first."""
    users, device = len(ids), ids.device
    reading = read(model, ids, lengths, room)
    hidden = reading.hidden
    kind = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    # Hypotheses that go on: [users, width], of which some users have fewer; and finished ones.
    nodes = torch.zeros(users, 1, dtype=torch.long, device=device)
    totals = torch.zeros(users, 1, dtype=kind, device=device)
    done = torch.zeros(users, 0, dtype=torch.long, device=device)
    done_totals = torch.zeros(users, 0, dtype=kind, device=device)
    # [users, width, tokens behind the prompt]: which of them are a hypothesis's own.
    own = torch.zeros(users, 1, 0, dtype=torch.bool, device=device)
    for depth in range(trie.paths.shape[1]):
        children, there = _children(trie, nodes)
        found = _scores_of(model, hidden, trie.token[children])
        found = found.masked_fill(~there, -torch.inf)
        going = (totals[..., None] + found).flatten(1)
        among = torch.cat([done_totals, going], dim=1)
        best_totals, best = among.topk(min(beam, among.shape[1]), dim=1, sorted=True)
        # A place among all → the node there: of finished names their last one.
        everyone = torch.cat([done, children.flatten(1)], dim=1).gather(1, best)
        parent = (best - done.shape[1]).clamp(min=0) // children.shape[2]
        dead = torch.isneginf(best_totals)
        ended = (trie.item[everyone] >= 0) & ~dead
        done, done_totals = _packed(ended, everyone, best_totals)
        alive = ~ended & ~dead
        if not alive.any():
            break
        order = _first(alive)
        kept = alive.gather(1, order)
        # Where a user has fewer hypotheses, a leaf stands: it has no children.
        nodes = everyone.gather(1, order).masked_fill(~kept, int(trie.paths[0, -1]))
        totals = best_totals.gather(1, order).masked_fill(~kept, -torch.inf)
        parent = parent.gather(1, order)
        own = own.gather(1, parent[..., None].expand(-1, -1, own.shape[2]))
        itself = torch.eye(nodes.shape[1], dtype=torch.bool, device=device)
        own = torch.cat([own, itself.expand(users, -1, -1)], dim=-1)
        hidden = reading.step(trie.token[nodes], depth, own)
    return trie.item[done].masked_fill(torch.isneginf(done_totals), -1), done_totals


def _first(chosen: Tensor) -> Tensor:
    """[users, most] places of the true values of `chosen` in their order, then of others."""
    order = (~chosen).long().argsort(dim=1, stable=True)
    return order[:, : int(chosen.sum(dim=1).max())]


def _packed(chosen: Tensor, nodes: Tensor, totals: Tensor) -> tuple[Tensor, Tensor]:
    """The chosen of `nodes` and `totals` [users, width] in their order; −inf behind the last."""
    order = _first(chosen)
    lacking = ~chosen.gather(1, order)
    return nodes.gather(1, order), totals.gather(1, order).masked_fill(lacking, -torch.inf)


@torch.inference_mode()
def name_nll(
    model: Any,
    trie: NameTrie,
    prompts: Sequence[IntArray],
    targets: Sequence[IntArray] | IntArray,
    *,
    max_tokens: int = 16384,
    dtype: str = "float32",
) -> TargetNll:
    """NLL of the names of the targets of each prompt, as `gti.search.likelihood.target_nll`.

    Over the trie, the probabilities of all items sum to one, as they do for Semantic IDs that no
    two items share: the two are comparable, however many tokens a name has.
    """
    score = partial(_name_nll, trie=trie)
    depth = trie.paths.shape[1] - 1
    return nll_by_prompt(
        score, model, trie, prompts, targets, depth, trie.token.device, max_tokens, dtype
    )


def _name_nll(
    model: Any, ids: Tensor, lengths: Tensor, leaves: Tensor, *, trie: NameTrie
) -> Tensor:
    """[2, users, width] both NLLs of [users, width] items behind prompts [users, longest]."""
    width, longest = leaves.shape[1], trie.paths.shape[1]
    reading = read(model, ids, lengths, width * (longest - 1))
    hidden = reading.hidden
    side = torch.eye(width, dtype=torch.bool, device=ids.device)
    nll = torch.zeros(2, *leaves.shape, dtype=torch.float64, device=ids.device)
    above = torch.zeros_like(leaves)
    for depth, nodes in enumerate(_steps(trie, leaves)):
        children, there = _children(trie, above)
        found = _scores_of(model, hidden, trie.token[children]).double()
        going = nodes != above  # a name that has ended stays where it is
        chosen = (children == nodes[..., None]) & there
        found = found.masked_fill(~there, -torch.inf)
        picked = found.masked_fill(~chosen, -torch.inf).amax(dim=-1)
        nll[0] -= torch.where(going, picked, 0.0)
        nll[1] -= torch.where(going, picked - found.logsumexp(dim=-1), 0.0)
        above = nodes
        if bool((trie.item[nodes] < 0).any()):
            hidden = reading.step(trie.token[nodes], depth, side.repeat(1, depth + 1)[None])
        else:
            break
    return nll


def _steps(trie: NameTrie, leaves: Tensor) -> Iterator[Tensor]:
    """[users, width] the nodes that the names of `leaves` are at, token by token."""
    for depth in range(trie.paths.shape[1]):
        yield trie.paths[leaves, depth]
