"""Diagnostics against hand-computed cases, scipy, random-matrix theory and slow references."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import pearsonr, spearmanr

from gti.data.semantic_ids import SemanticIds
from gti.model.diagnostics import (
    DiagnosticNumbers,
    diagnose,
    effective_rank,
    rsa,
    singular_values,
    stable_rank,
)
from gti.model.nearest_words import as_word
from leaderboard.records.parts import Spectrum

VOCABULARY = [" cat", "cat", "Dog", "\ufffd", "42", "\n", " fish", "bird", "rain", "sun", "moon"]


def decode(token: int) -> str:
    return VOCABULARY[token] if token < len(VOCABULARY) else f"word{token}"


def make_ids(levels: int = 2, codes: int = 8, drop: tuple[int, ...] = (), seed: int = 0):
    """Semantic IDs that use every code but level 0's `drop`, with random codebooks."""
    kept = np.setdiff1d(np.arange(codes), drop)
    items = np.arange(3 * codes)
    columns = [kept[items % len(kept)]] + [items % codes for _ in range(levels - 1)]
    codebooks = np.random.default_rng(seed).standard_normal((levels, codes, 6))
    return SemanticIds(
        np.stack(columns, axis=1).astype(np.int64), codes, codebooks.astype(np.float16), {}
    )


def random_rows(rows: int, dim: int = 12, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


def slow_cosines(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    rows, other = rows.astype(float), other.astype(float)
    return np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in other] for a in rows])


def words_of(arrays: dict[str, np.ndarray]) -> dict[str, list[str]]:
    codes, words = arrays["codes"].tolist(), arrays["nearest_words"].tolist()
    return dict(zip(codes, words, strict=True))


def run(rows: np.ndarray, ids: SemanticIds, text: np.ndarray | None = None):
    text = random_rows(30, rows.shape[1], seed=9) if text is None else text
    return diagnose(rows, text, ids, decode, range(len(text)))


def test_fields_mirror_the_record():
    assert [field.name for field in fields(DiagnosticNumbers)] == list(Spectrum.model_fields)


def test_orthonormal_rows_have_full_rank():
    values, _ = singular_values(np.linalg.qr(random_rows(20, 20).astype(float))[0][:7])
    assert effective_rank(values) == pytest.approx(7)
    assert stable_rank(values) == pytest.approx(7)


def test_ranks_of_known_singular_values():
    values, _ = singular_values(np.diag([3.0, 1.0, 0.0]))
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert effective_rank(values) == pytest.approx(np.exp(entropy))
    assert stable_rank(values) == pytest.approx(10 / 9)


def test_effective_rank_of_a_gaussian_matrix_follows_marchenko_pastur():
    n, dim = 300, 900
    ratio = n / dim
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2

    def expectation(function):
        def weighted(x):
            density = np.sqrt((high - x) * (x - low)) / (2 * np.pi * ratio * x)
            return function(np.sqrt(x)) * density

        return quad(weighted, low, high)[0]

    mean = expectation(lambda s: s)
    expected = n * mean * np.exp(-expectation(lambda s: s * np.log(s)) / mean)
    values, _ = singular_values(random_rows(n, dim).astype(float))
    assert effective_rank(values) == pytest.approx(expected, rel=0.005)


def test_identical_rows_have_rank_one_and_no_structure():
    rows = np.tile(random_rows(1, 48), (16, 1))
    numbers, arrays = run(rows, make_ids())
    assert numbers.effective_rank == 1.0
    assert numbers.stable_rank == 1.0
    assert numbers.effective_rank_centred is None
    assert numbers.cosine_mean == pytest.approx(1.0)
    assert numbers.cosine_within_level == pytest.approx((1.0, 1.0))
    assert numbers.cosine_across_levels == pytest.approx(1.0)
    assert (numbers.rsa_pearson, numbers.rsa_spearman) == (None, None)
    assert numbers.rsa_pearson_per_level == numbers.rsa_spearman_per_level == (None, None)
    assert np.count_nonzero(arrays["singular_values"]) == 1
    assert np.count_nonzero(arrays["singular_values_centred"]) == 0


def test_tiny_noise_around_the_mean_is_measured_not_rounded_away():
    rows = 0.1 * np.tile(random_rows(1, 48), (16, 1)).astype(np.float64)
    numbers, _ = run(rows + 7e-7 * random_rows(16, 48, seed=3), make_ids())
    assert numbers.effective_rank == pytest.approx(1.0, abs=1e-3)
    assert numbers.effective_rank_centred > 10
    assert numbers.rsa_pearson is not None


def test_numbers_equal_a_slow_reference():
    ids, rows = make_ids(drop=(2, 5)), random_rows(16)
    numbers, arrays = run(rows, ids)
    used = [code for code in range(16) if code not in (2, 5)]
    cosine = slow_cosines(rows[used], rows[used])
    code_cosine = slow_cosines(*(2 * [ids.codebooks.reshape(16, 6)[used]]))
    level = np.array([code // 8 for code in used])
    pairs = [(i, j) for i in range(14) for j in range(i + 1, 14)]

    def mean(chosen):
        return np.mean([cosine[pair] for pair in chosen])

    assert (numbers.num_rows, numbers.unused_rows) == (16, 2)
    assert numbers.norm_mean == pytest.approx(np.linalg.norm(rows[used], axis=1).mean())
    assert numbers.cosine_mean == pytest.approx(mean(pairs))
    within = [[(i, j) for i, j in pairs if level[i] == level[j] == n] for n in (0, 1)]
    assert numbers.cosine_within_level == pytest.approx([mean(chosen) for chosen in within])
    across = [(i, j) for i, j in pairs if level[i] != level[j]]
    assert numbers.cosine_across_levels == pytest.approx(mean(across))
    for chosen, pearson, spearman in zip(
        [pairs, *within],
        [numbers.rsa_pearson, *numbers.rsa_pearson_per_level],
        [numbers.rsa_spearman, *numbers.rsa_spearman_per_level],
        strict=True,
    ):
        sides = [[matrix[pair] for pair in chosen] for matrix in (cosine, code_cosine)]
        assert pearson == pytest.approx(pearsonr(*sides).statistic, abs=1e-9)
        assert spearman == pytest.approx(spearmanr(*sides).statistic, abs=1e-9)
    values = np.sqrt(np.linalg.eigvalsh(rows[used].astype(float).T @ rows[used]))[::-1]
    np.testing.assert_allclose(arrays["singular_values"], values, rtol=1e-5)
    assert numbers.effective_rank == pytest.approx(
        np.exp(-sum(v / values.sum() * np.log(v / values.sum()) for v in values))
    )
    centred = rows[used].astype(float) - rows[used].astype(float).mean(axis=0)
    values = np.linalg.svd(centred)[1]
    np.testing.assert_allclose(arrays["singular_values_centred"], values, rtol=1e-5)


def test_rows_of_unused_codes_change_nothing():
    ids, rows = make_ids(drop=(2, 5)), random_rows(16)
    other = rows.copy()
    other[[2, 5]] = 1e3
    (first, first_arrays), (second, second_arrays) = run(rows, ids), run(other, ids)
    assert first == second
    for name, array in first_arrays.items():
        np.testing.assert_array_equal(array, second_arrays[name])
    kept = [token for token in ids.tokens if token not in ("<a_2>", "<a_5>")]
    assert first_arrays["codes"].tolist() == kept


def test_renaming_the_codes_of_a_level_moves_no_number():
    ids, rows = make_ids(), random_rows(16)
    order = np.random.default_rng(2).permutation(8)
    codes = ids.codes.copy()
    codes[:, 1] = np.argsort(order)[codes[:, 1]]
    codebooks = ids.codebooks.copy()
    codebooks[1] = codebooks[1][order]
    renamed = SemanticIds(codes, 8, codebooks, {})
    first, first_arrays = run(rows, ids)
    second, second_arrays = run(np.concatenate([rows[:8], rows[8:][order]]), renamed)
    for field in fields(DiagnosticNumbers):
        value = getattr(first, field.name)
        assert getattr(second, field.name) == pytest.approx(value, abs=1e-12), field.name
    before, after = words_of(first_arrays), words_of(second_arrays)
    for new, old in enumerate(order):
        assert after[f"<b_{new}>"] == before[f"<b_{old}>"]


def test_single_level_has_no_cosine_across_levels():
    ids = make_ids(levels=1)
    numbers, arrays = run(random_rows(8), ids)
    assert numbers.cosine_across_levels is None
    assert numbers.rsa_pearson == numbers.rsa_pearson_per_level[0]
    assert set(arrays["cosine_labels"].tolist()) == {-1, 0}


def test_two_codes_per_level_are_too_few_for_rsa_within_a_level():
    numbers, _ = run(random_rows(6), make_ids(levels=3, codes=2))
    assert numbers.rsa_pearson_per_level == (None, None, None)
    assert numbers.rsa_pearson is not None
    assert None not in numbers.cosine_within_level


def test_level_with_one_used_code_has_no_pairs():
    ids = make_ids(codes=4, drop=(1, 2, 3))
    numbers, _ = run(random_rows(8), ids)
    assert numbers.cosine_within_level[0] is None
    assert numbers.rsa_spearman_per_level[0] is None
    assert numbers.unused_rows == 3


def test_without_codebooks_rsa_is_null_and_the_rest_stands():
    ids = make_ids()
    with_codebooks, _ = run(random_rows(16), ids)
    numbers, _ = run(random_rows(16), SemanticIds(ids.codes, 8, None, {}))
    assert numbers.rsa_pearson is None
    assert numbers.rsa_spearman_per_level == (None, None)
    assert numbers.effective_rank == with_codebooks.effective_rank


def test_rsa_of_rows_that_are_a_rotation_of_the_codebook_is_one():
    vectors = random_rows(20, 6, seed=4)
    rotation = np.linalg.qr(random_rows(6, 6).astype(float))[0]
    assert rsa(3 * vectors @ rotation, vectors) == pytest.approx((1.0, 1.0))


def test_rsa_leaves_out_codes_whose_codebook_vector_is_zero():
    rows, vectors = random_rows(10, 5), random_rows(10, 6, seed=4)
    vectors[3] = 0
    kept = np.arange(10) != 3
    assert rsa(rows, vectors) == rsa(rows[kept], vectors[kept])


def test_rsa_ties_are_not_broken_by_rounding():
    # Orthogonal groups: all cosines are 0 or 1 but for rounding, on both sides.
    rows = np.repeat(np.linalg.qr(random_rows(4, 4).astype(float))[0], 3, axis=0)
    pearson, spearman = rsa(rows, rows[:, ::-1] * np.arange(1, 13)[:, None])
    assert (pearson, spearman) == pytest.approx((1.0, 1.0), abs=1e-12)


def test_row_of_zeros_has_no_cosine():
    rows = random_rows(16)
    rows[3] = 0
    numbers, arrays = run(rows, make_ids())
    kept = np.delete(rows, 3, axis=0)
    cosine = slow_cosines(kept, kept)[np.triu_indices(15, k=1)]
    assert numbers.cosine_mean == pytest.approx(cosine.mean())
    assert words_of(arrays)["<a_3>"] == [""] * 5


def test_all_rows_zero_is_null_and_no_error():
    numbers, _ = run(np.zeros((16, 12)), make_ids())
    assert numbers.effective_rank is numbers.stable_rank is numbers.text_affinity is None
    assert numbers.cosine_mean is numbers.rsa_pearson is None
    assert numbers.norm_mean == 0


def test_cosine_matrix_shows_evenly_spaced_words_and_the_first_used_codes():
    ids = make_ids(levels=2, codes=80, drop=(0,))
    rows, text = random_rows(160), random_rows(200, seed=9)
    _, arrays = run(rows, ids, text)
    assert arrays["cosine_labels"].dtype == np.int16
    assert arrays["cosine_labels"].tolist() == [-1] * 16 + [0] * 64 + [1] * 64
    words = [token for token in range(200) if as_word(decode(token))]
    shown = [words[round(i * (len(words) - 1) / 15)] for i in range(16)]
    stacked = np.concatenate([text[shown], rows[1:65], rows[80:144]])
    np.testing.assert_allclose(arrays["cosine"], slow_cosines(stacked, stacked), atol=1e-12)


def test_vocabulary_without_words_shows_new_rows_only():
    numbers, arrays = diagnose(
        random_rows(16), random_rows(3), make_ids(), lambda _: "7", [0, 1, 2]
    )
    assert arrays["cosine_labels"].min() == 0
    assert set(arrays["nearest_words"].ravel().tolist()) == {""}
    assert numbers.text_affinity is not None


@pytest.mark.parametrize(
    ("rows", "text", "message"),
    [
        (random_rows(15), random_rows(5), r"new_rows must be \[16, dim\].*found \(15, 12\)"),
        (random_rows(16), random_rows(5, 11), r"text_rows must be \(5, 12\).*found \(5, 11\)"),
        (np.full((16, 12), np.nan), random_rows(5), "new_rows: 16 rows hold NaN"),
    ],
)
def test_input_that_does_not_fit_is_refused(rows, text, message):
    with pytest.raises(ValueError, match=message):
        diagnose(rows, text, make_ids(), decode, range(len(text)))


def test_no_used_code_is_refused():
    ids = SemanticIds(np.zeros((0, 2), dtype=np.int64), 8, None, {})
    with pytest.raises(ValueError, match="no item carries a Semantic ID"):
        run(random_rows(16), ids)
