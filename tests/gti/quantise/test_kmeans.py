"""Residual k-means: planted clusters, faiss level by level, brute force, hypothesis."""

from itertools import product

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.data.dataset import DataError
from gti.data.semantic_ids import SemanticIds
from gti.quantise.kmeans import (
    assign_distinct,
    mean_residual_codebooks,
    principal_components,
    residual_kmeans,
    with_mean_residuals,
)

FACTS = {"encoder": "made up"}


def planted(copies: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """4 coarse clusters of 4 fine ones, `copies` items each, and the true (coarse, fine) pairs."""
    rng = np.random.default_rng(5)
    coarse, fine = 20 * np.eye(12)[:4], 4 * np.eye(12)[4:8]
    pairs = np.array([(i, j) for i in range(4) for j in range(4)] * copies)
    noise = 0.1 * rng.standard_normal((len(pairs), 12))
    return (coarse[pairs[:, 0]] + fine[pairs[:, 1]] + noise).astype(np.float32), pairs


def mixture(items: int = 500, dim: int = 16) -> np.ndarray:
    """Overlapping clusters, as item embeddings are."""
    rng = np.random.default_rng(6)
    centres = rng.standard_normal((20, dim))
    return (centres[rng.integers(20, size=items)] + rng.standard_normal((items, dim))).astype("f4")


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two labellings are one up to the names of the labels."""
    joint = len(set(zip(first.tolist(), second.tolist(), strict=True)))
    return joint == len(set(first.tolist())) == len(set(second.tolist()))


def reconstruct(codes: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    return sum(codebooks[level].astype(float)[codes[:, level]] for level in range(codes.shape[1]))


def test_planted_hierarchy_is_recovered_level_by_level():
    embeddings, pairs = planted()
    ids, report = residual_kmeans(embeddings, 3, 4, seed=0, description=FACTS)
    assert same_partition(ids.codes[:, 0], pairs[:, 0])
    assert same_partition(ids.codes[:, 1], pairs[:, 1])
    assert report.used_codes == (4, 4, 4)
    assert report.perplexity[:2] == pytest.approx((4.0, 4.0))
    assert report.relative_error[0] > 0.01 > report.relative_error[1] > report.relative_error[2]
    assert report.collision_rate == 0.0 == 1 - ids.distinct / 48
    assert report.warnings == ()
    assert "collapsed" not in ids.description


def test_first_level_centroids_are_the_means_of_their_members():
    embeddings, _ = planted()
    ids, _ = residual_kmeans(embeddings, 3, 4, seed=0, description=FACTS)
    for code in range(4):
        mean = embeddings[ids.codes[:, 0] == code].mean(axis=0)
        np.testing.assert_allclose(ids.codebooks[0, code], mean, rtol=2e-3, atol=2e-3)


def test_distortion_is_that_of_plain_faiss_level_by_level():
    embeddings = mixture()
    _, report = residual_kmeans(embeddings, 3, 16, seed=0, description=FACTS)
    spread = np.square(embeddings - embeddings.mean(axis=0)).sum()
    residual = embeddings
    for level in range(3):
        plain = faiss.Kmeans(16, 16, niter=25, seed=level + 77, min_points_per_centroid=1)
        plain.train(residual)
        residual = residual - plain.centroids[plain.index.search(residual, 1)[1][:, 0]]
        expected = np.square(residual).sum() / spread
        assert report.relative_error[level] == pytest.approx(expected, rel=0.04)


def test_codebooks_and_codes_give_the_reported_final_error():
    embeddings = mixture(items=200)
    ids, report = residual_kmeans(embeddings, 2, 16, seed=1, description=FACTS)
    error = np.square(embeddings - reconstruct(ids.codes, ids.codebooks)).sum()
    spread = np.square(embeddings - embeddings.mean(axis=0)).sum()
    assert report.relative_error_final == pytest.approx(error / spread, rel=1e-3)
    assert report.relative_error_final >= report.relative_error[-1]
    assert ids.codebooks.dtype == np.float16
    assert ids.codebooks.shape == (2, 16, 16)


def test_same_seed_gives_the_same_codes_on_any_number_of_threads():
    before = faiss.omp_get_max_threads()
    hashes = []
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            hashes.append(residual_kmeans(mixture(), 3, 16, 4, FACTS)[0].sha256)
            assert faiss.omp_get_max_threads() == threads
    finally:
        faiss.omp_set_num_threads(before)
    assert hashes[0] == hashes[1]
    assert residual_kmeans(mixture(), 3, 16, 5, FACTS)[0].sha256 != hashes[0]


def test_description_keeps_what_was_given_and_adds_the_quantiser():
    description = residual_kmeans(mixture(50), 2, 8, 3, FACTS)[0].description
    assert description["encoder"] == "made up"
    assert description["quantiser"] == "residual k-means"
    assert description["quantiser_seed"] == "3"
    with pytest.raises(ValueError, match="must leave codes to the quantiser"):
        residual_kmeans(mixture(50), 2, 8, 3, {"codes": "8"})


@settings(max_examples=40, deadline=None)
@given(
    items=st.integers(1, 60),
    levels=st.integers(1, 3),
    codes=st.integers(2, 8),
    grid=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_items_are_unique_wherever_their_group_leaves_room(items, levels, codes, grid, seed):
    rng = np.random.default_rng(seed)
    # Points on a coarse grid: many are equal, so that nearest codes collide a lot.
    embeddings = rng.integers(0, grid, size=(items, 3)).astype(np.float32)
    if items > codes**levels:
        with pytest.raises(DataError, match=f"{items} items do not fit {codes}\\^{levels}"):
            residual_kmeans(embeddings, levels, codes, seed, FACTS)
        return
    ids, report = residual_kmeans(embeddings, levels, codes, seed, FACTS)
    groups: dict[tuple[int, ...], list[int]] = {}
    for *prefix, last in ids.codes.tolist():
        groups.setdefault(tuple(prefix), []).append(last)
    for members in groups.values():
        assert len(set(members)) == min(len(members), codes)
    assert report.items_over_capacity == sum(max(len(g) - codes, 0) for g in groups.values())
    assert report.collision_rate <= report.collision_rate_nearest
    assert np.isfinite(ids.codebooks).all()


@pytest.mark.parametrize("items", [1, 2, 4, 5, 6])
@pytest.mark.parametrize("seed", range(5))
def test_assignment_within_a_group_is_the_cheapest_of_all(items, seed):
    rng = np.random.default_rng(seed)
    centroids = rng.standard_normal((4, 2)).astype(np.float32)
    residual = (0.3 * rng.standard_normal((items, 2))).astype(np.float32)
    cost = np.square(residual[:, None] - centroids[None]).sum(axis=2, dtype=np.float64)
    rows = np.arange(items)
    cheapest = min(
        cost[rows, choice].sum()
        for choice in map(list, product(range(4), repeat=items))
        if len(set(choice)) == min(items, 4)
    )
    assigned = assign_distinct(residual, np.zeros((items, 0), dtype=np.int64), centroids)
    assert len(set(assigned.tolist())) == min(items, 4)
    assert cost[rows, assigned].sum() == pytest.approx(cheapest, rel=1e-6)


def test_groups_are_assigned_apart():
    residual = np.array([[0.0], [0.1], [0.0], [0.9]], dtype=np.float32)
    prefix = np.array([[0], [0], [1], [1]])
    centroids = np.array([[0.0], [1.0]], dtype=np.float32)
    # Group 0 competes for code 0 and the item nearer to code 1 gives way; group 1 does not.
    assert assign_distinct(residual, prefix, centroids).tolist() == [0, 1, 0, 1]


def test_items_alone_in_their_group_get_their_nearest_code():
    rng = np.random.default_rng(8)
    residual = rng.standard_normal((3000, 4)).astype(np.float32)
    centroids = rng.standard_normal((16, 4)).astype(np.float32)
    prefix = np.arange(3000)[:, None]
    prefix[[7, 2900], 0] = 0  # with item 0 a group of three, among more than fit one piece
    assigned = assign_distinct(residual, prefix, centroids)
    wide = residual[:, None].astype(np.float64) - centroids
    nearest = np.square(wide).sum(axis=2).argmin(axis=1)
    alone = np.setdiff1d(np.arange(3000), [0, 7, 2900])
    assert assigned[alone].tolist() == nearest[alone].tolist()
    assert len(set(assigned[[0, 7, 2900]].tolist())) == 3


def test_zeros_of_either_sign_are_one_point():
    embeddings = np.array([[0.0], [-0.0], [1.0], [1.0]], dtype=np.float32)
    ids, report = residual_kmeans(embeddings, 2, 2, 0, FACTS)
    assert ids.codes[:, 0].tolist() == [0, 0, 1, 1]
    assert report.relative_error == (0.0, 0.0)


def test_fewer_distinct_points_than_codes_get_exact_centroids():
    embeddings = np.array([[0.0], [0.0], [1.0]], dtype=np.float32)
    ids, report = residual_kmeans(embeddings, 1, 4, 0, FACTS)
    assert ids.codes[:, 0].tolist() == [0, 2, 1]
    assert ids.codebooks[0, :, 0].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert report.relative_error == (0.0,)
    assert report.collision_rate_nearest == pytest.approx(1 / 3)
    assert (report.collision_rate, report.items_moved, report.used_codes) == (0.0, 1, (3,))
    assert report.perplexity == pytest.approx((3.0,))


def test_group_over_capacity_keeps_the_nearest_code_and_is_counted():
    embeddings = np.array([[0.0], [0.0], [0.0], [1.0]], dtype=np.float32)
    ids, report = residual_kmeans(embeddings, 2, 2, 0, FACTS)
    assert report.items_over_capacity == 1
    assert ids.distinct == 3
    assert report.collision_rate == pytest.approx(1 / 4)


def test_collapsed_level_is_warned_of():
    embeddings = np.ones((5, 2), dtype=np.float32)
    ids, report = residual_kmeans(embeddings, 2, 32, 0, FACTS)
    assert report.warnings == (
        "level 0 collapsed: items are nearest to 1 of its 32 codes",
        "level 1 collapsed: items are nearest to 1 of its 32 codes",
    )
    # The last level is spread, so that the codes alone no longer tell.
    assert ids.used_per_level == (1, 5)
    assert ids.description["collapsed"] == "; ".join(report.warnings)
    assert report.collision_rate == 0.0


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.array([[0.0], [np.nan]], dtype="f4"), "1 embeddings hold NaN .* that of item 1"),
        (np.array([[np.inf], [0.0]], dtype="f4"), "that of item 0"),
        (np.zeros((2, 1)), r"must be \[num_items, dim\] float32 .* found float64"),
        (np.zeros((0, 3), dtype="f4"), "not empty"),
        (np.array([[1e5], [0.0]], dtype="f4"), "at most 65504"),
    ],
)
def test_unusable_embeddings_are_refused(embeddings, message):
    with pytest.raises(DataError, match=message):
        residual_kmeans(embeddings, 2, 4, 0, FACTS)


def test_capacity_error_names_the_numbers():
    with pytest.raises(DataError, match=r"17 items do not fit 4\^2 = 16 Semantic IDs"):
        residual_kmeans(mixture(17), 2, 4, 0, FACTS)


def test_levels_and_codes_must_be_positive():
    with pytest.raises(ValueError, match="found 0 and 4"):
        residual_kmeans(mixture(9), 0, 4, 0, FACTS)


def test_mean_residual_codebooks_of_a_hand_computed_case():
    codes = np.array([[0, 1], [0, 0], [2, 0]])
    embeddings = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]], dtype=np.float32)
    codebooks = mean_residual_codebooks(codes, 3, embeddings)
    assert codebooks.dtype == np.float16
    # Level 0: means of {1, 3} and {(0, 5)}. Residuals -1, 1, 0: code 0 has 1 and 0, code 1 has -1.
    assert codebooks[0].tolist() == [[2.0, 0.0], [0.0, 0.0], [0.0, 5.0]]
    assert codebooks[1].tolist() == [[0.5, 0.0], [-1.0, 0.0], [0.0, 0.0]]


def test_mean_residual_codebooks_agree_with_the_quantisers_own():
    embeddings, _ = planted()
    ids, _ = residual_kmeans(embeddings, 3, 4, 0, FACTS)
    codebooks = mean_residual_codebooks(ids.codes, 4, embeddings)
    np.testing.assert_allclose(codebooks[:2], ids.codebooks[:2], rtol=2e-3, atol=5e-3)


def test_codes_without_codebooks_get_them_and_say_from_what():
    published = SemanticIds(np.array([[0], [0], [2]]), 3, None, {"quantiser": "published"})
    embeddings = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]], dtype=np.float32)
    filled = with_mean_residuals(published, embeddings, FACTS)
    assert filled.codebooks is not None
    assert filled.codebooks.tolist() == [[[2.0, 0.0], [0.0, 0.0], [0.0, 5.0]]]
    assert filled.codes.tolist() == published.codes.tolist()
    own = {"quantiser": "published", "codebooks": "mean residuals"}
    assert filled.description == {**FACTS, **own}
    assert filled.sha256 != published.sha256
    with pytest.raises(ValueError, match="leave quantiser to the codes"):
        with_mean_residuals(published, embeddings, {"quantiser": "mine"})


def test_mean_residual_codebooks_need_one_embedding_per_item():
    with pytest.raises(DataError, match="2 items have codes but 3 have embeddings"):
        mean_residual_codebooks(np.zeros((2, 1), dtype=np.int64), 2, np.ones((3, 2), dtype="f4"))


def test_principal_components_equal_numpys_svd_up_to_sign():
    rng = np.random.default_rng(0)
    embeddings = (rng.normal(size=(50, 12)) * np.linspace(1, 4, 12)).astype(np.float32)
    reduced = principal_components(embeddings, 4)
    centred = embeddings - embeddings.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    expected = left[:, :4] * singular[:4]
    np.testing.assert_allclose(np.abs(reduced), np.abs(expected), atol=1e-4)


@pytest.mark.parametrize("dim", [0, 13, 51])
def test_more_components_than_there_are_is_refused(dim):
    with pytest.raises(ValueError, match="components"):
        principal_components(np.ones((50, 12), np.float32), dim)
