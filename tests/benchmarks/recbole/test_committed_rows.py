"""RecBole's rows that only count, as committed, against ten lines of NumPy: no RecBole, no network.

`test_driver` asks RecBole itself about 20 items, where every item has fewer than 100 neighbours;
here all 1,682 films stand, so that what is cut off counts.
"""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import load_dataset
from leaderboard.records.ranks import Ranks, read_ranks
from leaderboard.records.record import ranks_path, read_record

COMMITTED = Path(__file__).parents[3] / "leaderboard" / "results" / "ml-100k-nano"
NEIGHBOURS = 100

pytestmark = pytest.mark.skipif(
    not (COMMITTED / "recbole-pop").is_dir(), reason="no rows of RecBole are committed"
)
CUTOFF = 10


@pytest.fixture(scope="module")
def histories(movielens_folder: Path) -> list[np.ndarray]:
    """Each user's films, in order of time."""
    return list(load_dataset("ml-100k", offline=True).histories)


@pytest.fixture(scope="module")
def taken(histories: list[np.ndarray]) -> np.ndarray:
    """[users, items] 1 where the user took the item before the last one of the history."""
    matrix = np.zeros((len(histories), 1 + max(int(items.max()) for items in histories)))
    for user, items in enumerate(histories):
        matrix[user, items[:-1]] = 1
    return matrix


def counts(scores: np.ndarray, histories: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """How many items score above each user's last one, and how many others as high."""
    own = scores[np.arange(len(histories)), [items[-1] for items in histories]][:, None]
    return (scores > own).sum(axis=1), (scores == own).sum(axis=1) - 1


def expected(better: np.ndarray, tied: np.ndarray) -> tuple[float, float]:
    """recall@10 and ndcg@10 in expectation over the orders of what is tied."""
    places = [np.arange(b, b + t + 1) for b, t in zip(better, tied, strict=True)]
    recall = [np.mean(place < CUTOFF) for place in places]
    gain = [np.mean(np.where(place < CUTOFF, 1 / np.log2(place + 2), 0)) for place in places]
    return float(np.mean(recall)), float(np.mean(gain))


def committed(name: str) -> tuple[Ranks, tuple[float | None, ...]]:
    """Test rows of a committed reference, by user as the dataset has them, and its two metrics."""
    path = COMMITTED / name / "seed-0.json"
    ranks = read_ranks(ranks_path(path))
    test = read_record(path).metrics["test"]
    metrics = (test[f"recall@{CUTOFF}"], test[f"ndcg@{CUTOFF}"])
    return ranks.where(ranks.split == "test"), metrics


def test_pop_ranks_by_the_number_of_known_interactions(
    histories: list[np.ndarray], taken: np.ndarray
) -> None:
    better, tied = counts(np.tile(taken.sum(axis=0), (len(taken), 1)), histories)
    ranks, metrics = committed("recbole-pop")
    assert expected(better, tied) == pytest.approx(metrics, abs=1e-12)
    np.testing.assert_array_equal(ranks.num_better, better)
    np.testing.assert_array_equal(ranks.num_tied, tied)


def test_itemknn_sums_the_cosines_to_known_items_over_each_items_nearest_hundred(
    histories: list[np.ndarray], taken: np.ndarray
) -> None:
    together = taken.T @ taken
    norms = np.sqrt(np.diag(together))
    cosine = together / (np.outer(norms, norms) + 1e-6)
    np.fill_diagonal(cosine, 0)
    # Of each column its hundred largest: an item's neighbours are those that speak for it.
    cosine[np.argsort(-cosine, axis=0, kind="stable")[NEIGHBOURS:], np.arange(len(cosine))] = 0
    better, tied = counts(taken @ cosine, histories)
    ranks, metrics = committed("recbole-itemknn")
    assert expected(better, tied) == pytest.approx(metrics, abs=1e-6)
    # Which of several equally near films is the hundredth is RecBole's choice: it moves a place
    # far down the list here and there.
    assert np.mean(ranks.num_better == better) > 0.85
