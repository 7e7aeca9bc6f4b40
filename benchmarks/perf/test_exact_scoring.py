"""Exact scoring of every item through the trie beside each item in a row of its own."""

from typing import Any

import numpy as np

from benchmarks.perf.beam_loss import beam_losses, table
from benchmarks.perf.grown import Grown
from benchmarks.perf.side_by_side import SideBySide
from gti.plain import plain_exact_search
from gti.search.decoding import Beams, build_trie
from gti.search.exact_scoring import exact_search

ITEMS = 5


def test_scores_equal_those_of_items_alone(
    grown: Grown, side_by_side: SideBySide, benchmark: Any
) -> None:
    """Same scores of all 1,682 items; users per second of both."""
    trie = build_trie(grown.semantic_ids, grown.vocabulary, grown.device)
    prompts = [grown.prompter.retrieval_prompt(grown.history(ITEMS))]
    found: dict[str, Beams] = {}

    def plain() -> None:
        found["plain"] = plain_exact_search(
            grown.model, trie, prompts, trie.num_leaves, dtype=grown.dtype
        )

    def fast() -> None:
        found["fast"] = exact_search(grown.model, trie, prompts, trie.num_leaves, dtype=grown.dtype)

    side_by_side.run(
        benchmark,
        f"every item scored, histories of {ITEMS} items{grown.suffix}",
        plain,
        fast,
        units=len(prompts),
        unit="users",
        rounds=1,
    )
    by_leaf = {way: np.empty(trie.num_leaves, np.float32) for way in found}
    for way, beams in found.items():
        by_leaf[way][beams.leaves[0]] = beams.scores[0]
    np.testing.assert_allclose(by_leaf["fast"], by_leaf["plain"], **grown.close(1e-7, 1e-4))


def test_a_wider_beam_comes_nearer_to_exact_scoring(grown: Grown) -> None:
    """On random rows, where beams lose most: `beam_loss` shows what they lose after training."""
    trie = build_trie(grown.semantic_ids, grown.vocabulary, grown.device)
    prompts = [grown.prompter.retrieval_prompt(grown.history(ITEMS, user)) for user in range(6)]
    losses = beam_losses(grown.model, trie, prompts, np.arange(6), beams=(10, 50, trie.num_leaves))
    kept = [each.kept for each in losses]
    assert kept == sorted(kept)
    assert kept[-2:] == [1.0, 1.0]
    assert losses[-2].same_lists == 1.0
    assert losses[-2].lost == 0.0
    assert "exact" in table(losses).splitlines()[-1]
