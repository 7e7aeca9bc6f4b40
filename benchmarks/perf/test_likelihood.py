"""NLL of targets behind prompts that are read once beside one forward pass per target."""

from typing import Any

import numpy as np
import pytest

from benchmarks.cell.scoring import MAX_TOKENS
from benchmarks.perf.grown import Grown
from benchmarks.perf.side_by_side import SideBySide
from gti.plain import plain_target_nll
from gti.search.decoding import build_trie
from gti.search.likelihood import TargetNll, target_nll

ITEMS = 20
USERS = {1: 32, 10: 4}
"""Targets of a prompt → prompts."""


@pytest.mark.parametrize("targets", USERS)
def test_values_equal_those_of_targets_alone(
    grown: Grown, side_by_side: SideBySide, benchmark: Any, targets: int
) -> None:
    """Same NLL under the vocabulary and under the trie; targets per second of both."""
    trie = build_trie(grown.semantic_ids, grown.vocabulary, grown.device)
    users = range(USERS[targets])
    prompts = [grown.prompter.retrieval_prompt(grown.history(ITEMS, user)) for user in users]
    asked = [grown.history(targets, 1000 + user) for user in users]
    found: dict[str, TargetNll] = {}

    def plain() -> None:
        found["plain"] = plain_target_nll(grown.model, trie, prompts, asked, dtype=grown.dtype)

    def fast() -> None:
        bound = MAX_TOKENS[grown.device.type]
        found["fast"] = target_nll(
            grown.model, trie, prompts, asked, max_tokens=bound, dtype=grown.dtype
        )

    each = "1 target" if targets == 1 else f"{targets} targets"
    side_by_side.run(
        benchmark,
        f"NLL of {each}, {ITEMS} items: against one forward pass per target{grown.suffix}",
        plain,
        fast,
        units=targets * len(prompts),
        unit="targets",
    )
    for name in ("nll", "trie_nll"):
        ours, theirs = (getattr(found[way], name) for way in ("fast", "plain"))
        np.testing.assert_allclose(ours, theirs, **grown.close(1e-5, 1e-4))
