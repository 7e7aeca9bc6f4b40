"""Where an item that no query was trained on stands among its peers, the items of its own kind.

A model that was trained on queries for some items and for none of others is surer of the former
whatever it is asked, so over the whole catalogue the others hardly ever come first. Whether it
knows *which* of them is meant is another question, and is asked of those alone, as zero-shot
classification is scored among the unseen classes (Chao et al. 2016, arXiv 1605.04253). Every peer
is scored: nothing here depends on the beam or on how sure the model is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gti.data.dataset import IntArray
from gti.search.decoding import Beams, Leaves
from gti.search.target_ranks import rank_relevant


@dataclass(frozen=True)
class PeerRanks:
    """Counts among the peers of each target; targets follow one another in the order asked.

    Attributes:
        peers: [targets] other items of the target's kind; 0 for a target of another kind.
        peers_better: [targets] those of them that score above the target.
        peers_tied: [targets] those at exactly its score.
        cut_to: tokens per batch of prompts after memory ran out; null where it did not.
    """

    peers: IntArray
    peers_better: IntArray
    peers_tied: IntArray
    cut_to: int | None = None


@dataclass(frozen=True)
class _Kind:
    """The items of one kind: their trie, and [num_items] the place of each in it, −1 outside."""

    trie: Leaves
    place: IntArray
    size: int


class Peers:
    """The items of a catalogue that are ranked among their own, each kind with a trie of its own.

    Args:
        kinds: [num_items] the kind of each item.
        ranked: the kinds whose items have peers.
        build: the trie of some items, by their numbers.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        ranked: Sequence[str],
        build: Callable[[IntArray], Leaves],
    ) -> None:
        self.kinds = []
        for kind in ranked:
            items = np.flatnonzero(np.array(kinds) == kind)
            if not len(items):
                continue
            place = np.full(len(kinds), -1, dtype=np.int64)
            place[items] = np.arange(len(items))
            self.kinds.append(_Kind(build(items), place, len(items)))

    def rank(
        self,
        search: Callable[..., Beams],
        model: Any,
        prompts: Sequence[IntArray],
        targets: Sequence[IntArray],
        *,
        max_tokens: int,
        dtype: str,
    ) -> PeerRanks:
        """The place of each of the `targets` of each prompt among its peers.

        Args:
            search: `exact_search`, or the plain one.
            model: a causal LM, in eval mode.
            prompts: [users] token ids before the Semantic ID.
            targets: [users] the target items of each prompt.
            max_tokens: tokens (prompts and prefixes) in one batch of prompts.
            dtype: "bfloat16" computes in it.
        """
        asker = np.repeat(np.arange(len(targets)), [len(items) for items in targets])
        nothing = np.empty(0, dtype=np.int64)
        target = np.concatenate([nothing, *targets])
        counts = np.zeros((3, len(target)), dtype=np.int64)
        cut_to = None
        for kind in self.kinds:
            inside = np.flatnonzero(kind.place[target] >= 0)
            if not len(inside):
                continue
            asked = np.unique(asker[inside])
            beams = search(
                model,
                kind.trie,
                [prompts[user] for user in asked],
                kind.trie.num_leaves,
                max_tokens=max_tokens if cut_to is None else cut_to,
                dtype=dtype,
            )
            cut_to = beams.cut_to if beams.cut_to is not None else cut_to
            own = [kind.place[target[inside[asker[inside] == user]]] for user in asked]
            found = rank_relevant(beams, kind.trie, own)
            counts[0, inside] = kind.size - 1
            counts[1:, inside] = found.num_better, found.num_tied
        peers, better, tied = counts
        return PeerRanks(peers, better, tied, cut_to)
