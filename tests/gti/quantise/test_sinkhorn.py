"""Sinkhorn against the log domain and optimal transport; items that share a Semantic ID."""

import numpy as np
import pytest
import torch

from gti.quantise.sinkhorn import settle_collisions, sinkhorn_plan, spread_collisions


def slow_plan(distances: np.ndarray, epsilon: float, iterations: int) -> np.ndarray:
    """The plan in the log domain, matrix by matrix: no kernel that could underflow."""
    low, high = distances.min(), distances.max()
    scores = -(2 * (distances - low) / (high - low) - 1) / epsilon
    for _ in range(iterations):
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        scores = scores - np.logaddexp.reduce(scores, axis=0, keepdims=True)
    return np.exp(scores) * len(distances) / distances.shape[1]


@pytest.mark.parametrize("epsilon", [0.003, 0.05, 1.0])
def test_sinkhorn_plan_is_that_of_the_log_domain(epsilon: float) -> None:
    rng = np.random.default_rng(1)
    distances = rng.random((30, 6)) ** 2
    plan = sinkhorn_plan(torch.from_numpy(distances), epsilon, 50).numpy()
    np.testing.assert_allclose(plan, slow_plan(distances, epsilon, 50), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), 5, rtol=1e-9)


def test_sinkhorn_is_balanced_both_ways_and_near_the_optimal_transport() -> None:
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(3)
    distances = rng.random((40, 8))
    plan = sinkhorn_plan(torch.from_numpy(distances), 0.02, 3000).numpy()
    np.testing.assert_allclose(plan.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=0), 5, rtol=1e-6)
    places = np.repeat(distances, 5, axis=1)
    rows, columns = linear_sum_assignment(places)
    optimum = places[rows, columns].sum()
    assert optimum <= (plan * distances).sum() <= 1.05 * optimum
    assert np.bincount(plan.argmax(axis=1), minlength=8).max() <= 7


def test_sinkhorn_takes_one_item_and_equal_distances() -> None:
    assert sinkhorn_plan(torch.zeros(1, 4), 0.003, 50).tolist() == [[0.25] * 4]
    plan = sinkhorn_plan(torch.ones(6, 3), 0.003, 50)
    assert plan.flatten().tolist() == pytest.approx([1 / 3] * 18)


def test_colliding_items_are_spread_and_the_others_left_alone() -> None:
    codebook = np.array([[0.0], [1.0], [2.0]], dtype=np.float32)
    residual = np.array([[0.3], [0.1], [0.5], [0.0], [1.9]], dtype=np.float32)
    codes = np.array([[0, 0], [0, 0], [0, 0], [1, 0], [1, 2]])
    assert spread_collisions(residual, codes, codebook, 0.003, 50).tolist() == [1, 0, 2, 0, 2]


def test_groups_are_spread_apart_from_one_another() -> None:
    rng = np.random.default_rng(4)
    codebook = rng.standard_normal((16, 3)).astype(np.float32)
    residual = rng.standard_normal((60, 3)).astype(np.float32)
    # Groups of 2 to 5 items, all on code 0 of their own prefix.
    prefix = np.repeat(np.arange(16), np.resize([2, 3, 4, 6], 16))
    codes = np.column_stack([prefix, np.zeros_like(prefix)])
    together = spread_collisions(residual, codes, codebook, 0.003, 50)
    for group in np.unique(prefix):
        own = prefix == group
        alone = spread_collisions(residual[own], codes[own], codebook, 0.003, 50)
        assert np.array_equal(together[own], alone)
    spread = len(np.unique(np.column_stack([prefix, together]), axis=0))
    assert spread > 0.9 * len(prefix) > len(np.unique(prefix))


def test_twins_are_told_apart_in_the_end_though_sinkhorn_cannot() -> None:
    codebook = np.array([[0.0], [1.0], [5.0]], dtype=np.float32)
    residual = np.array([[0.2], [0.2], [0.1]], dtype=np.float32)
    codes = np.array([[0, 0], [0, 0], [1, 0]])
    last = spread_collisions(residual, codes, codebook, 0.003, 50)
    assert last[0] == last[1]
    settled = settle_collisions(residual, np.column_stack([codes[:, 0], last]), codebook)
    assert sorted(settled[:2].tolist()) == [0, 1]
    assert settled[2] == 0
