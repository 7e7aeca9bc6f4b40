"""Tests in RecBole's own environment: skipped unless GTI_BENCH_RECBOLE_PYTHON names it."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.recbole.exchange import VARIABLE, RecBole, find_recbole, read_scores, run_driver
from benchmarks.recbole.models import MODELS, Model
from gti.data.dataset import Split

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no environment of RecBole"
)
NUM_USERS, NUM_ITEMS = 30, 20
PARTS = ("validation", "test")


@pytest.fixture(scope="module")
def recbole() -> RecBole:
    return find_recbole(None)


@pytest.fixture(scope="module")
def split() -> Split:
    """Users of 3 to 12 different items; nobody ever takes the last item."""
    rng = np.random.default_rng(5)
    histories = [rng.permutation(NUM_ITEMS - 1)[: rng.integers(3, 13)] for _ in range(NUM_USERS)]
    return Split(
        users=np.arange(NUM_USERS),
        train=tuple(history[:-2] for history in histories),
        validation=np.array([history[-2] for history in histories]),
        test=np.array([history[-1] for history in histories]),
        dropped_users=0,
    )


def run(recbole: RecBole, split: Split, folder: Path, model: Model, seed: int = 0):
    folder.mkdir()
    report = run_driver(
        recbole,
        folder,
        split,
        NUM_ITEMS,
        model,
        max_history=5,
        seed=seed,
        device="cpu",
        threads=1,
    )
    return report, {part: read_scores(folder, part, NUM_USERS, NUM_ITEMS) for part in PARTS}


def known_matrix(split: Split, part: str) -> np.ndarray:
    """[users, items] 1 where the user took the item before the target of `part`."""
    matrix = np.zeros((NUM_USERS, NUM_ITEMS))
    for user in range(NUM_USERS):
        matrix[user, split.history(user, part)] = 1
    return matrix


def test_pop_is_the_number_of_known_interactions(recbole, split, tmp_path) -> None:
    _, scores = run(recbole, split, tmp_path / "pop", MODELS["pop"])
    for part in PARTS:
        counts = known_matrix(split, part).sum(axis=0)
        expected = np.tile(counts / counts.max(), (NUM_USERS, 1)).astype(np.float32)
        np.testing.assert_array_equal(scores[part], expected)


def test_itemknn_is_the_sum_of_cosines_to_the_known_items(recbole, split, tmp_path) -> None:
    _, scores = run(recbole, split, tmp_path / "itemknn", MODELS["itemknn"])
    for part in PARTS:
        taken = known_matrix(split, part)
        together = taken.T @ taken
        norms = np.sqrt(np.diag(together))
        cosine = together / (np.outer(norms, norms) + 1e-6)
        np.fill_diagonal(cosine, 0)
        # 100 neighbours are more than there are items: all of them count.
        np.testing.assert_allclose(scores[part], taken @ cosine, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sasrec", "gru4rec"])
def test_a_sequential_model_trains_and_ranks_every_item(recbole, split, tmp_path, name) -> None:
    short = MODELS[name].settings | {"epochs": 2, "stopping_step": 1}
    model = Model(MODELS[name].name, "", "", short, sequential=True)
    report, scores = run(recbole, split, tmp_path / "one", model)
    (fit,) = report["fits"]
    assert fit["epochs"] == 2
    assert len(fit["validation_ndcg10"]) == len(fit["train_loss"]) == 2
    assert fit["rows"] == sum(len(items) - 1 for items in split.train)
    assert np.isfinite(scores["test"]).all()
    # The test history holds one item more than the validation history.
    assert not np.array_equal(scores["test"], scores["validation"])
    _, again = run(recbole, split, tmp_path / "two", model)
    np.testing.assert_array_equal(again["test"], scores["test"])
    _, other = run(recbole, split, tmp_path / "three", model, seed=1)
    assert not np.array_equal(other["test"], scores["test"])


def test_the_kept_weights_are_those_of_the_best_epoch(recbole, split, tmp_path) -> None:
    """RecBole's figure for its best epoch is the one that the scores handed back give."""
    settings = MODELS["sasrec"].settings | {"epochs": 6, "learning_rate": 0.05}
    model = Model("SASRec", "", "", settings, sequential=True)
    report, scores = run(recbole, split, tmp_path / "best", model)
    own = scores["validation"][np.arange(NUM_USERS), split.validation][:, None]
    better = (scores["validation"] > own).sum(axis=1)
    ndcg = np.mean(np.where(better < 10, 1 / np.log2(better + 2), 0))
    assert ndcg == pytest.approx(max(report["fits"][0]["validation_ndcg10"]), abs=1e-6)
