"""Tests of the statistics, by hand on five users and against known floors on MovieLens."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli.dataset_statistics import dataset_statistics
from benchmarks.datasets.recbole_atomic import load_recbole
from gti.data.dataset import Dataset, Provenance


def tiny(tied: list[bool] | None) -> Dataset:
    histories = [[0, 1, 2], [0, 1, 2], [0, 1], [0, 0, 1]]
    return Dataset(
        name="tiny",
        item_ids=("a", "b", "c", "d"),
        texts=({"title": "A", "year": "1"}, {"title": "B"}, {"brand": "C"}, {}),
        user_ids=("u", "v", "w", "x"),
        histories=tuple(np.array(history, dtype=np.int64) for history in histories),
        tied_last=None if tied is None else np.array(tied),
        provenance=Provenance("a test", "none", {}),
    )


def test_counts_and_shares() -> None:
    statistics = dataset_statistics(tiny([True, False, False, False]))
    assert (statistics.users, statistics.users_kept) == (4, 3)
    assert (statistics.items, statistics.items_seen, statistics.items_without_text) == (4, 3, 1)
    assert statistics.interactions == 11
    assert statistics.text_shares == {
        "title": 0.5,
        "description": 0.0,
        "brand": 0.25,
        "categories": 0.0,
        "year": 0.25,
    }
    assert statistics.tied_last_share == 0.25
    assert dataset_statistics(tiny(None)).tied_last_share is None


def test_floors_by_hand() -> None:
    # Known at test time: a 4 times, b twice, c and d never. Targets c, c (tied with d, third or
    # fourth) and b (second). After b nothing is known to follow; after a come a and b, once each.
    floors = dataset_statistics(tiny(None)).floors
    third_or_fourth = (1 / math.log2(4) + 1 / math.log2(5)) / 2
    expected = (2 * third_or_fourth + 1 / math.log2(3)) / 3
    assert floors["popularity"]["recall@10"] == 1.0
    assert floors["popularity"]["ndcg@10"] == pytest.approx(expected, abs=1e-15)
    # Of the successions a → b (twice) and a → a (once), b is now first for the last user.
    assert floors["markov"]["ndcg@10"] == pytest.approx((2 * third_or_fourth + 1) / 3, abs=1e-15)


def test_movielens_floors(movielens_folder: Path) -> None:
    dataset = load_recbole(movielens_folder, "ml-100k", "ml-100k", "GroupLens", "its own")
    floors = dataset_statistics(dataset).floors
    assert floors["popularity"]["recall@10"] == pytest.approx(0.0456, abs=5e-5)
    assert floors["markov"]["recall@10"] == pytest.approx(0.1092, abs=5e-5)
