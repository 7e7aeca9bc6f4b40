"""Teacher-forced negative log-likelihood (NLL) of targets: how probable a model holds each to be.

A prompt is read once; behind it stand the codes of its targets side by side, each target blind to
the others. No beam can lose a target, so that every one has a value.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gti.data.dataset import IntArray
from gti.model.capabilities import check_model
from gti.model.compute import autocast, computed_in
from gti.search.decoding import Leaves, Trie, code_log_probabilities
from gti.search.exact_scoring import Edges
from gti.search.reading import knows_layers, read
from gti.search.user_batches import run_in_batches

WIDTH = 64
"""Targets that stand side by side behind one prompt; for more of them it is read again."""


@dataclass(frozen=True)
class TargetNll:
    """NLL of the Semantic ID of each target, in nats, summed over its codes.

    Both are those of the Semantic ID. Where n items share one, an item's part of its probability
    is 1 / n, so that log n comes on top: with it the `trie_nll` of all items, as probabilities,
    sum to one.

    Attributes:
        nll: [targets] float64, under the full vocabulary.
        trie_nll: [targets] float64, where each code is normalised over those that the trie allows
            behind the target's own prefix: the probabilities of all Semantic IDs sum to one.
        cut_to: tokens per batch of prompts after memory ran out; null where it did not.
    """

    nll: NDArray[np.float64]
    trie_nll: NDArray[np.float64]
    cut_to: int | None = None


@torch.inference_mode()
def target_nll(
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    targets: Sequence[IntArray] | IntArray,
    *,
    max_tokens: int = 16384,
    dtype: str = "float32",
) -> TargetNll:
    """NLL of the targets of each prompt; values follow one another in the order of `targets`.

    Args:
        model: a causal LM, in eval mode.
        trie: of the items that may be named.
        prompts: [users] token ids before the Semantic ID.
        targets: [users] the target items of each prompt.
        max_tokens: tokens (prompts and codes) in one batch of prompts; fewer where memory runs out.
        dtype: "bfloat16" computes in it; log-probabilities are float32, for a float64 model
            float64, and their sums float64 always.

    Raises:
        ModelError: a model that is not computed with.
        SearchMemoryError: not even one prompt fits into memory.
    """
    edges = Edges.of(trie)

    def score(model: Any, ids: Tensor, lengths: Tensor, leaves: Tensor) -> Tensor:
        return _score(model, trie, edges, ids, lengths, leaves)

    depth, device = len(trie.children) - 1, trie.children[0].device
    return nll_by_prompt(score, model, trie, prompts, targets, depth, device, max_tokens, dtype)


def nll_by_prompt(
    score: Callable[[Any, Tensor, Tensor, Tensor], Tensor],
    model: Any,
    trie: Leaves,
    prompts: Sequence[IntArray],
    targets: Sequence[IntArray] | IntArray,
    depth: int,
    device: torch.device,
    max_tokens: int,
    dtype: str,
) -> TargetNll:
    """What `target_nll` gives, for any way of naming items.

    Args:
        score: of (model, prompts [users, longest], their lengths [users], leaves [users, width])
            [2, users, width] both NLLs.
        model: see `target_nll`.
        trie: which leaf each item has.
        prompts: see `target_nll`.
        targets: see `target_nll`.
        depth: tokens that stand behind a prompt for each of its targets.
        device: where to compute.
        max_tokens: see `target_nll`.
        dtype: see `target_nll`.
    """
    check_model(model)
    model, dtype = computed_in(model, dtype)
    askers, leaves, place_of = _distinct(trie, targets)
    groups = _groups(askers)
    found = np.empty((2, len(leaves)), dtype=np.float64)
    cut_to = None
    for width, rows in groups.items():

        def run(chosen: IntArray, ids: Tensor, lengths: Tensor, rows: IntArray = rows) -> None:
            places = rows[chosen]
            asked = torch.from_numpy(leaves[places]).to(device)
            with autocast(device, dtype):
                values = score(model, ids, lengths, asked)
            found[:, places] = values.cpu().numpy()

        own = [prompts[asker] for asker in askers[rows[:, 0]]]
        alike = not knows_layers(model, max(map(len, own)) + width * depth)
        bound = max_tokens if cut_to is None else cut_to
        cut = run_in_batches(run, own, bound, width * depth, alike=alike, device=device)
        cut_to = cut_to if cut is None else cut
    nll, trie_nll = found[:, place_of]
    return TargetNll(nll, trie_nll, cut_to)


def _distinct(
    trie: Leaves, targets: Sequence[IntArray] | IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Prompts and leaves of all distinct pairs of them, and [targets] the pair of each target."""
    nothing = np.empty(0, dtype=np.int64)
    asker = np.repeat(np.arange(len(targets)), [len(items) for items in targets])
    leaf = trie.leaf_of[np.concatenate([nothing, *targets])]
    pairs, place_of = np.unique(asker * trie.num_leaves + leaf, return_inverse=True)
    return pairs // trie.num_leaves, pairs % trie.num_leaves, place_of


def _groups(askers: IntArray) -> dict[int, IntArray]:
    """Rows of pairs that are scored side by side, by width, a power of two up to `WIDTH`.

    Args:
        askers: [pairs] the prompt of each pair, ascending.

    Returns:
        Width → [rows, width] numbers of pairs, all of one prompt in a row; a row's first pair
        comes again where it is shorter.
    """
    rows: dict[int, list[IntArray]] = {}
    for of_one in np.split(np.arange(len(askers)), np.flatnonzero(np.diff(askers)) + 1):
        for start in range(0, len(of_one), WIDTH):
            row = of_one[start : start + WIDTH]
            width = 1 << (len(row) - 1).bit_length()
            padded = np.concatenate([row, np.repeat(row[:1], width - len(row))])
            rows.setdefault(width, []).append(padded)
    return {width: np.stack(rows[width]) for width in sorted(rows)}


def _score(
    model: Any, trie: Trie, edges: Edges, ids: Tensor, lengths: Tensor, leaves: Tensor
) -> Tensor:
    """[2, users, width] both NLLs of [users, width] leaves behind prompts [users, longest]."""
    width, levels = leaves.shape[1], len(trie.children)
    nodes, codes = [leaves], []  # on the way up: first the last level
    for parent, code in zip(reversed(edges.parent), reversed(edges.code), strict=True):
        codes.append(code[nodes[-1]])
        nodes.append(parent[nodes[-1]])
    nodes, codes = nodes[:0:-1], codes[::-1]
    reading = read(model, ids, lengths, width * (levels - 1))
    hidden = reading.hidden
    own = torch.eye(width, dtype=torch.bool, device=ids.device)
    nll = torch.zeros(2, *leaves.shape, dtype=torch.float64, device=ids.device)
    for level, tokens in enumerate(trie.tokens):
        # The prompt's own state, the first, serves all of its targets.
        found = code_log_probabilities(model, hidden, tokens).double().expand(-1, width, -1)
        closed = trie.children[level][nodes[level]] < 0
        nll -= found.gather(2, codes[level][..., None])[..., 0]
        nll[1] += found.masked_fill(closed, -torch.inf).logsumexp(dim=-1)
        if level + 1 < levels:
            hidden = reading.step(tokens[codes[level]], level, own.repeat(1, level + 1)[None])
    return nll
