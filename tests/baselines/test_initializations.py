"""What each initialization claims of its rows, against numbers that come from elsewhere."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.registry import methods
from gti.method import MethodError
from gti.model.diagnostics import diagnose, rsa

DRAWN = {"random", "random_matched", "gaussian", "codebook", "gti_from_codebook", "noisy_mean"}
"""Methods whose rows depend on the seed."""


def rows_of(key, start):
    return methods()[key].initialize(start)


@pytest.mark.parametrize("key", list(methods()))
def test_rows_are_finite_float32_of_the_right_shape_and_follow_the_seed(key, make_start):
    first, again, other = (rows_of(key, make_start(seed)) for seed in (0, 0, 1))
    assert first.shape == (32, 48)
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (key not in DRAWN)


@pytest.mark.parametrize("key", list(methods()))
def test_initializing_changes_nothing_that_it_was_given(key, make_start):
    given = make_start()
    text, default = given.text_rows.clone(), given.default_rows.clone()
    rows_of(key, given)
    assert torch.equal(given.text_rows, text)
    assert torch.equal(given.default_rows, default)


def test_random_matched_takes_norms_of_text_rows_in_their_proportions(make_start):
    given = make_start(codes=4000)
    text_rows = given.text_rows / given.text_rows.norm(dim=1, keepdim=True)
    text_rows[:250] *= 2.0  # half of the rows at norm 2, the rest at 1 or, four of them, at 0
    text_rows[-4:] = 0.0
    norms = rows_of("random_matched", replace(given, text_rows=text_rows)).norm(dim=1).numpy()
    at_two = np.isclose(norms, 2.0, atol=1e-5)
    assert (at_two | np.isclose(norms, 1.0, atol=1e-5)).all()
    share = 250 / 496
    assert at_two.mean() == pytest.approx(share, abs=4 * math.sqrt(share / 2 / len(norms)))


def test_nothing_of_the_noise_of_noisy_mean_depends_on_the_text_rows(make_start):
    given = make_start(codes=4000, width=64)
    rows = rows_of("noisy_mean", given).double().numpy()
    noise = rows - given.text_rows.double().numpy().mean(axis=0)
    draws = np.sort((noise * 8).ravel())  # √64
    assert abs(draws.mean()) < 0.01
    assert draws.std() == pytest.approx(1, abs=0.01)
    # Quantiles of the standard normal.
    for share, value in ((0.025, -1.95996), (0.25, -0.67449), (0.75, 0.67449), (0.975, 1.95996)):
        assert draws[int(share * len(draws))] == pytest.approx(value, abs=0.02)
    assert np.linalg.norm(noise, axis=1).mean() == pytest.approx(1, abs=0.01)
    other = replace(make_start(codes=4000, width=64), text_rows=5 * given.text_rows - 3)
    again = rows_of("noisy_mean", other).double().numpy()
    np.testing.assert_allclose(
        again - other.text_rows.double().numpy().mean(axis=0), noise, atol=1e-5
    )


def test_random_matched_directions_are_isotropic(make_start):
    rows = rows_of("random_matched", make_start(codes=10_000)).double()
    units = rows / rows.norm(dim=1, keepdim=True)
    count, width = units.shape
    assert float(units.mean(dim=0).abs().max()) < 5 / math.sqrt(count * width)
    second = units.T @ units / count
    assert float((second - torch.eye(width) / width).abs().max()) < 7 / width / math.sqrt(count)


@pytest.mark.parametrize("num_text", [500, 20])
def test_gaussians_moments_converge_to_those_of_the_text_rows(make_start, num_text):
    """With 20 text rows of width 48 the covariance has rank 19: no Cholesky factor exists."""
    given = make_start(codes=40_000, num_text=num_text)
    rows = rows_of("gaussian", given).double().numpy()
    text = given.text_rows.double().numpy()
    expected = np.cov(text.T, bias=True)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = np.cov(rows.T, bias=True)
    # A covariance's standard error is below sqrt(2 / n) of the two deviations' product.
    assert (np.abs(found - expected) / scale).max() < 5.5 * math.sqrt(2 / len(rows))
    deviations = np.sqrt(np.diag(expected) / len(rows))
    assert (np.abs(rows.mean(axis=0) - text.mean(axis=0)) / deviations).max() < 5
    spread = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    assert (spread > 1e-5 * spread[0]).sum() == min(num_text - 1, 48)


def test_description_averages_tokens_then_items_and_leaves_unused_codes_on_the_mean(make_start):
    texts = (
        {"title": "w1 w2", "brand": "w9"},  # brand before title, which makes no difference here
        {"title": "w4"},
        {},  # carries (3, 2): no text, so it counts nowhere
    )
    given = make_start(texts=texts)
    text = given.text_rows.double().numpy()
    first, second = text[[1, 2, 9]].mean(axis=0), text[4]
    expected = np.tile(text.mean(axis=0), (32, 1))
    expected[0] = (first + second) / 2  # level 0, code 0: items 0 and 1
    expected[16 + 1] = first  # level 1, code 1
    expected[16 + 2] = second  # level 1, code 2: item 2 has no text
    np.testing.assert_allclose(rows_of("description_raw", given).numpy(), expected, atol=1e-6)


def test_texts_are_joined_in_the_order_of_field_names(make_start):
    seen = []
    given = make_start(texts=({"title": "w1", "brand": "w9"}, {}, {}))
    rows_of("description_raw", replace(given, tokenize=lambda text: seen.append(text) or []))
    assert seen[0] == "w9 w1"


def test_keywords_weigh_words_by_tf_idf_within_the_level(make_start):
    texts = ({"title": "W1 w1 w2 w5"}, {"title": "w3 w5"}, {"title": "w2 w4 w5"})
    given = make_start(texts=texts, item_codes=((0, 1), (0, 2), (3, 1)))
    text = given.text_rows.double().numpy()
    expected = np.tile(text.mean(axis=0), (32, 1))
    # Level 0: code 0 = {w1: 2, w2, w3, w5: 2}, code 3 = {w2, w4, w5}; w2 and w5 are in both.
    expected[0] = (2 * text[1] + text[3]) / 3
    expected[3] = text[4]
    # Level 1: code 1 = {w1: 2, w2: 2, w4, w5: 2}, code 2 = {w3, w5}; w5 is in both.
    expected[16 + 1] = (2 * text[1] + 2 * text[2] + text[4]) / 5
    expected[16 + 2] = text[3]
    np.testing.assert_allclose(rows_of("keywords_raw", given).numpy(), expected, atol=1e-6)


def test_rarer_words_weigh_more_by_the_logarithm_and_long_words_share_their_weight(make_start):
    texts = ({"title": "a b"}, {"title": "b c"}, {"title": "c"})
    pieces = {" a": [3, 6], " b": [9], " c": [12]}
    given = make_start(texts=texts, item_codes=((0,), (1,), (2,)))
    given = replace(given, tokenize=lambda text: pieces[text])
    text = given.text_rows.double().numpy()
    one, two = math.log(3 / 1), math.log(3 / 2)  # words in one and in two of three documents
    expected = (one * (text[1] + text[2]) / 2 + two * text[3]) / (one + two)
    np.testing.assert_allclose(rows_of("keywords_raw", given)[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("key", ["description", "keywords"])
def test_rows_of_words_are_as_long_as_text_rows_and_share_no_direction(key, make_start):
    rng = np.random.default_rng(0)
    # Every item has ten words that all have, and two of its own: the raw rows are nearly alike.
    common = " ".join(f"w{n}" for n in range(10))
    texts = tuple({"title": f"{common} w{a} w{b}"} for a, b in rng.integers(10, 500, (400, 2)))
    codes = tuple(map(tuple, rng.integers(0, 15, size=(400, 2)).tolist()))
    given = make_start(texts=texts, item_codes=codes)
    text = given.text_rows.double().numpy()
    raw, rows = (rows_of(name, given).double().numpy() for name in (f"{key}_raw", key))
    used = np.setdiff1d(np.arange(32), (15, 31))  # the last code of each level has no item
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(norms[used], np.linalg.norm(text, axis=1).mean(), rtol=1e-5)
    np.testing.assert_allclose(rows[[15, 31]], np.tile(text.mean(axis=0), (2, 1)), atol=1e-6)
    for level in (np.arange(15), np.arange(16, 31)):
        units = rows[level] / norms[level, None]
        pairs = np.triu_indices(15, k=1)
        assert abs((units @ units.T)[pairs].mean()) < 0.1
        apart = raw[level] - raw[level].mean(axis=0)
        np.testing.assert_allclose(
            units, apart / np.linalg.norm(apart, axis=1, keepdims=True), atol=1e-4
        )
    if key == "description":
        units = raw[used] / np.linalg.norm(raw[used], axis=1, keepdims=True)
        assert (units @ units.T)[np.triu_indices(len(used), k=1)].mean() > 0.8


@pytest.mark.parametrize(("code_dim", "width"), [(8, 48), (48, 48), (100, 48)])
def test_codebook_rows_keep_the_codebooks_cosines_as_far_as_the_width_allows(
    make_start, code_dim, width
):
    given = make_start(code_dim=code_dim, width=width)
    rows = rows_of("codebook", given).numpy()
    vectors = given.semantic_ids.codebooks.reshape(32, code_dim).astype(np.float64)
    for pearson in rsa(rows, vectors):
        assert pearson == pytest.approx(1.0, abs=1e-6)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(norms, np.linalg.norm(given.text_rows, axis=1).mean(), rtol=1e-5)
    np.testing.assert_allclose((rows @ rows.T) / norms**2, units @ units.T, atol=1e-5)


def test_vectors_wider_than_the_rows_keep_their_principal_axes(make_start):
    given = make_start(code_dim=100, width=12)
    rows = rows_of("codebook", given).double().numpy()
    vectors = given.semantic_ids.codebooks.reshape(32, 100).astype(np.float64)
    _, _, axes = np.linalg.svd(vectors, full_matrices=False)
    kept = vectors @ axes[:12].T
    units = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    np.testing.assert_allclose(
        rows @ rows.T / np.linalg.norm(rows[0]) ** 2, units @ units.T, atol=1e-5
    )


def test_a_zero_codebook_vector_gets_the_mean_text_row(make_start):
    given = make_start()
    codebooks = given.semantic_ids.codebooks.copy()
    codebooks[1, 5] = 0
    sids = replace(given.semantic_ids, codebooks=codebooks)
    rows = rows_of("codebook", replace(given, semantic_ids=sids))
    torch.testing.assert_close(rows[16 + 5], given.text_rows.mean(dim=0))


def test_codebook_without_codebooks_says_why_and_what_to_do(make_start):
    with pytest.raises(MethodError, match=r"published indices.*setting that names an encoder"):
        rows_of("codebook", make_start(code_dim=None))


# Diagnostics of the first rows are what theory says ------------------------------------------


@pytest.fixture
def numbers(make_start):
    """Diagnostics at init of method `key`, every code in use."""

    def of(key, code_dim=8, seed=0):
        codes = tuple((code, code) for code in range(64))
        given = make_start(seed=seed, codes=64, item_codes=codes, code_dim=code_dim)
        rows, text = rows_of(key, given).numpy(), given.text_rows.numpy()
        found, _ = diagnose(rows, text, given.semantic_ids, lambda token: "w", given.text_ids)
        return found

    return of


@pytest.mark.parametrize(
    "key", ["mean", "lc_rec", "gti", "gti_shuffled", "mean_matched", "sid_only"]
)
def test_equal_rows_have_rank_one_and_nothing_else_is_defined(key, numbers):
    found = numbers(key)
    assert found.effective_rank == pytest.approx(1.0)
    assert found.stable_rank == pytest.approx(1.0)
    assert found.cosine_mean == pytest.approx(1.0)
    assert found.effective_rank_centred is None
    assert found.rsa_pearson is found.rsa_spearman is None
    assert found.rsa_pearson_per_level == (None, None)


def effective_rank(matrix):
    values = np.linalg.svd(matrix, compute_uv=False)
    shares = values / values.sum()
    return math.exp(-(shares * np.log(shares)).sum())


def test_random_rows_have_the_effective_rank_of_a_gaussian_matrix(numbers):
    rng = np.random.default_rng(1)
    simulated = [effective_rank(rng.normal(size=(128, 48))) for _ in range(50)]
    low, high = min(simulated), max(simulated)
    slack = 3 * np.std(simulated)
    found = numbers("random")
    assert low - slack < found.effective_rank < high + slack
    assert abs(found.cosine_mean) < 0.01
    assert abs(found.rsa_pearson) < 0.1
    assert numbers("random_matched").effective_rank == pytest.approx(found.effective_rank, rel=0.03)


def test_codebook_rows_have_rsa_one_and_no_more_rank_than_the_codebooks(numbers):
    found = numbers("codebook")
    for value in (found.rsa_pearson, found.rsa_spearman, *found.rsa_pearson_per_level):
        assert value == pytest.approx(1.0, abs=1e-6)
    assert 7 < found.effective_rank < 8.001
