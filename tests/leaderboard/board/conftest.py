"""What a method's record says of its grounding, and NLL beside made-up ranks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import give_ranks
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path

Treatment = dict[str, Any]


def treatment_by_hand(
    shown: float = 2.0,
    permuted: float = 4.0,
    recall: float | None = 0.9,
    chance: float = 0.1,
    directions: tuple[str, ...] = ("text_to_sid", "sid_to_text"),
) -> Treatment:
    """A record's `treatment`: the same NLL in every direction, other figures where held out."""
    pairs = [
        {
            "direction": direction,
            "share": share,
            "pairs": 50,
            "tokens": 150,
            "true": shown if share == "seen" else 3.75,
            "permuted": permuted if share == "seen" else 3.875,
            "shown": shown if share == "seen" else None,
        }
        for direction in directions
        for share in ("seen", "held_out")
    ]
    found = {"asked": 50, "recall": 0.125, "chance": chance}
    return {
        "pairs": pairs,
        "found": {
            "seen": {**found, "recall_shown": recall},
            "held_out": {**found, "recall_shown": None},
        },
    }


@pytest.fixture
def treatment() -> Callable[..., Treatment]:
    """Makes what a record says of its grounding; as it is, grounding took."""
    return treatment_by_hand


@pytest.fixture
def give_nll() -> Callable[..., Path]:
    """Gives a written cell NLL of its targets: drawn per user, higher by `shift` in the mean."""

    def give(path: Path, shift: float = 0.0) -> Path:
        ranks = read_ranks(ranks_path(path))
        generator = np.random.default_rng(list(str(path.relative_to(path.parents[2])).encode()))
        trie = 5 + shift + generator.normal(0, 0.2, len(ranks))
        return give_ranks(path, dataclasses.replace(ranks, trie_nll=trie, nll=trie + 0.5))

    return give
