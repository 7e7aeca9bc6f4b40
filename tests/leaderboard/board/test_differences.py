"""Tests of how a reference with seeds of its own is set against `mean`."""

import numpy as np
import pytest

from leaderboard.board.differences import differences_from_base
from leaderboard.board.family import Family
from leaderboard.board.user_scores import UserScores


def test_a_reference_with_seeds_enters_with_their_mean() -> None:
    scores = UserScores(
        "ndcg@10",
        np.array(["a", "b"]),
        {
            "mean": {0: np.array([0.1, 0.3]), 1: np.array([0.2, 0.4])},
            "other": {5: np.array([0.5, 0.7]), 6: np.array([0.7, 0.5])},
        },
    )
    nothing_tested = Family({}, None, 0.05, 0, None)
    found = differences_from_base(scores, ["other", "mean"], ["mean"], nothing_tested)["other"]
    # By hand: the reference's users hold 0.6 and 0.6, those of mean 0.15 and 0.35.
    assert found.estimate.mean == pytest.approx(0.35)
    assert (found.p, found.estimate.p) == (None, None)
    assert (found.smallest, found.seeds_needed, found.verdict) == (None, None, "not tested")
