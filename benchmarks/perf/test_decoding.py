"""Beam search in tensors beside the library's `generate` with a Python callback per beam.

Ours takes users as a cell's evaluation does, in batches as large as they are there. The library
takes them in batches of several sizes, and the one that is quickest per user counts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.cell.scoring import MAX_TOKENS, USERS_PER_CALL
from benchmarks.perf.grown import Grown
from benchmarks.perf.side_by_side import SideBySide
from gti.data.dataset import IntArray
from gti.model.compute import autocast
from gti.search.decoding import Beams, Trie, beam_search, build_trie
from gti.search.user_batches import length_batches

LIBRARY_USERS = {20: (1, 4, 16), 100: (1, 4)}
"""Beam → users in the library's batch, of `beam` rows each; 16 at beam 100 take half a minute."""
SHOWN = 20


class LibrarySearch:
    """Constrained generation as published evaluation scripts run it: a dictionary of prefixes."""

    def __init__(self, grown: Grown, trie: Trie) -> None:
        self.grown = grown
        self.levels = grown.semantic_ids.num_levels
        self.leaf_of: dict[tuple[int, ...], int] = {}
        following: dict[tuple[int, ...], set[int]] = {}
        for item, codes in enumerate(grown.prompter.sid_ids.tolist()):
            self.leaf_of[tuple(codes)] = int(trie.leaf_of[item])
            for level in range(self.levels):
                following.setdefault(tuple(codes[:level]), set()).add(codes[level])
        self.following = {prefix: sorted(codes) for prefix, codes in following.items()}

    def best(self, prompts: list[IntArray], beam: int) -> tuple[IntArray, NDArray[np.float32]]:
        """[users, beam] leaves and log-probabilities, for prompts of one length, in one batch."""
        ids = torch.from_numpy(np.stack(prompts)).to(self.grown.device)
        length = ids.shape[1]
        with autocast(self.grown.device, self.grown.dtype):
            out = self.grown.model.generate(
                ids,
                # The library would otherwise guess the mask from the padding token, which a prompt
                # may hold for good reason.
                attention_mask=torch.ones_like(ids),
                num_beams=beam,
                num_return_sequences=beam,
                max_new_tokens=self.levels,
                min_new_tokens=self.levels,
                length_penalty=0.0,  # the score is then the sum of log-probabilities
                do_sample=False,
                prefix_allowed_tokens_fn=lambda _, so_far: self.following[
                    tuple(so_far[length:].tolist())
                ],
                eos_token_id=None,
                pad_token_id=0,
                output_scores=True,
                return_dict_in_generate=True,
            )
        codes = out.sequences[:, length:].tolist()
        leaves = np.array([self.leaf_of[tuple(row)] for row in codes])
        scores = out.sequences_scores.float().cpu().numpy()
        return leaves.reshape(-1, beam), scores.reshape(-1, beam)


def assert_same_lists(ours: Beams, leaves: IntArray, scores: NDArray[np.float32]) -> None:
    """Same first `SHOWN` leaves in the same order, but where scores are equal up to rounding."""
    ours_first, first = ours.leaves[: len(leaves), :SHOWN], leaves[:, :SHOWN]
    np.testing.assert_allclose(ours.scores[: len(leaves), :SHOWN], scores[:, :SHOWN], atol=1e-4)
    for user, place in zip(*np.nonzero(ours_first != first), strict=True):
        wanted = leaves[user] == ours_first[user, place]
        own = ours.scores[user, place]
        assert np.abs(scores[user][wanted] - own).max(initial=0.0) < 1e-4
        assert wanted.any() or scores[user, -1] > own - 1e-4


def assert_alike(ours: Beams, leaves: IntArray, scores: NDArray[np.float32]) -> None:
    """In bfloat16: scores that differ by its rounding, and lists that mostly hold the same.

    Rounding turns up in all three levels of a sum; single scores part by up to a nat.
    """
    assert np.abs(ours.scores[: len(leaves), :SHOWN] - scores[:, :SHOWN]).mean() < 0.1
    pairs = zip(ours.leaves, leaves[:, :SHOWN], strict=False)
    assert np.mean([np.isin(theirs, mine).mean() for mine, theirs in pairs]) > 0.8


@pytest.mark.parametrize("beam", [20, 100])
@pytest.mark.parametrize("items", [20, 50])
def test_lists_equal_the_librarys(
    grown: Grown, side_by_side: SideBySide, benchmark: Any, items: int, beam: int
) -> None:
    """Same top-20 lists; users per second and peak memory of both."""
    trie = build_trie(grown.semantic_ids, grown.vocabulary, grown.device)
    library = LibrarySearch(grown, trie)
    prompts = [
        grown.prompter.retrieval_prompt(grown.history(items, user))
        for user in range(USERS_PER_CALL)
    ]
    bound = MAX_TOKENS[grown.device.type]
    batch = len(next(length_batches(prompts, bound, beam * (len(trie.children) - 1))))
    found: dict[str, Any] = {}

    def generate(size: int) -> Callable[[], None]:
        def work() -> None:
            found["plain"] = library.best(prompts[:size], beam)

        return work

    def fast() -> None:
        found["fast"] = beam_search(
            grown.model, trie, prompts, beam, max_tokens=bound, dtype=grown.dtype
        )

    grown.model.eval()
    sizes = LIBRARY_USERS[beam]
    side_by_side.run(
        benchmark,
        f"beam {beam}, histories of {items} items, batches of {batch} and {{plain}}{grown.suffix}",
        {size: generate(size) for size in sizes},
        fast,
        units=len(prompts),
        unit="users",
        rounds=3 if beam == 20 else 1,  # the library takes seconds a user at beam 100
        warm=beam == 20,
    )
    generate(max(sizes))()
    check = assert_same_lists if grown.dtype == "float32" else assert_alike
    check(found["fast"], *found["plain"])
