"""Beam search in tensors beside the library's `generate` with a Python callback per beam."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.perf.nano import NanoSetup
from benchmarks.perf.side_by_side import SideBySide
from gti.dataset import IntArray
from gti.decoding import Beams, Trie, beam_search, build_trie

USERS = 16
"""In our batch: fewer than a cell has there."""
LIBRARY_USERS = 4
"""In the library's batch, of `beam` rows each; with more it gets slower per user, not faster.

What equal batches give is shown beside what each side's own batch gives.
"""
SHOWN = 20


class LibrarySearch:
    """Constrained generation as published evaluation scripts run it: a dictionary of prefixes."""

    def __init__(self, nano: NanoSetup, trie: Trie) -> None:
        self.model = nano.model
        self.levels = nano.semantic_ids.num_levels
        self.leaf_of: dict[tuple[int, ...], int] = {}
        following: dict[tuple[int, ...], set[int]] = {}
        for item, codes in enumerate(nano.prompter.sid_ids.tolist()):
            self.leaf_of[tuple(codes)] = int(trie.leaf_of[item])
            for level in range(self.levels):
                following.setdefault(tuple(codes[:level]), set()).add(codes[level])
        self.following = {prefix: sorted(codes) for prefix, codes in following.items()}

    def best(self, prompts: list[IntArray], beam: int) -> tuple[IntArray, NDArray[np.float32]]:
        """[users, beam] leaves and log-probabilities, for prompts of one length, in one batch."""
        ids = torch.from_numpy(np.stack(prompts))
        length = ids.shape[1]
        out = self.model.generate(
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
        return leaves.reshape(-1, beam), out.sequences_scores.numpy().reshape(-1, beam)


def assert_same_lists(ours: Beams, leaves: IntArray, scores: NDArray[np.float32]) -> None:
    """Same first `SHOWN` leaves in the same order, but where scores are equal up to rounding."""
    ours_first, first = ours.leaves[: len(leaves), :SHOWN], leaves[:, :SHOWN]
    np.testing.assert_allclose(ours.scores[: len(leaves), :SHOWN], scores[:, :SHOWN], atol=1e-4)
    for user, place in zip(*np.nonzero(ours_first != first), strict=True):
        wanted = leaves[user] == ours_first[user, place]
        own = ours.scores[user, place]
        assert np.abs(scores[user][wanted] - own).max(initial=0.0) < 1e-4
        assert wanted.any() or scores[user, -1] > own - 1e-4


@pytest.mark.parametrize(
    ("beam", "users"), [(20, LIBRARY_USERS), (20, USERS), (100, LIBRARY_USERS), (100, USERS)]
)
@pytest.mark.parametrize("items", [20, 49])
def test_lists_equal_the_librarys(
    nano: NanoSetup, side_by_side: SideBySide, benchmark: Any, items: int, beam: int, users: int
) -> None:
    """Same top-20 lists; users per second of both."""
    trie = build_trie(nano.semantic_ids, nano.vocabulary, torch.device("cpu"))
    library = LibrarySearch(nano, trie)
    prompts = [nano.prompter.retrieval_prompt(nano.history(items, user)) for user in range(users)]
    found: dict[str, Any] = {}

    def plain() -> None:
        found["plain"] = library.best(prompts[:LIBRARY_USERS], beam)

    def fast() -> None:
        found["fast"] = beam_search(nano.model, trie, prompts, beam)

    side_by_side.run(
        benchmark,
        f"beam {beam}, histories of {items} items, batches of {users} and {LIBRARY_USERS}",
        plain,
        fast,
        units=users,
        unit="users",
        plain_units=LIBRARY_USERS,
        rounds=3 if beam == 20 else 1,  # the library takes seconds a user at beam 100
    )
    assert_same_lists(found["fast"], *found["plain"])
