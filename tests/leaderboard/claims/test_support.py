"""What reported numbers support: multiples of one share, and z by hand and by other libraries."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.claims.claims import ClaimsTable, load_claims
from leaderboard.claims.support import (
    accidental_fits,
    check_counts,
    is_multiple,
    nearest_multiple,
    reported_differences,
    support_of,
    two_proportion_z,
    users_that_fit,
)


def table(key: str) -> ClaimsTable:
    return next(each for each in load_claims() if each.key == key)


def test_every_vibrent_recall_is_a_printed_multiple_of_one_in_5178() -> None:
    check = check_counts(table("gti-vibrent"))
    assert check is not None
    assert (check.num_fitting, check.num_values, check.denominator) == (15, 15, 3 * 1726)
    recalls = ".0226 .0342 .0475 .0771 .1031 .0243 .0382 .0539 .0863 .1194 .0230 .0417 .0599"
    exact = [Fraction("0" + text) for text in f"{recalls} .0937 .1222".split()]
    errors = [min(abs(Fraction(n, 5178) - value) for n in range(1000)) for value in exact]
    assert check.largest_error == pytest.approx(float(max(errors)), rel=1e-9)
    assert check.largest_error < check.rounding == 0.5e-4
    assert check.users_that_fit == (1726,)


def test_accidental_fits_are_counted_in_simulation() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(100, 3000, size=(400, 3)) / 10_000
    found = [len(users_that_fit(row.tolist(), 4, 3, 900)) for row in values]
    expected = accidental_fits(3, 4, 3, 900)
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / math.sqrt(400))


@given(st.integers(2, 4000), st.data())
def test_what_is_printed_of_a_share_is_recognised(denominator: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, denominator))
    printed = round(hits / denominator, 4)
    assert is_multiple(printed, denominator, 4)
    assert nearest_multiple(hits / denominator, denominator) == (hits, 0)


def test_z_of_recall_at_20_by_hand() -> None:
    # (.0599 - .0539) / sqrt(.0569 × .9431 × 2 / n): .0060 / .0078855 and .0060 / .0045527
    assert two_proportion_z(0.0599, 0.0539, 1726) == pytest.approx(0.7609, abs=5e-5)
    assert two_proportion_z(0.0599, 0.0539, 5178) == pytest.approx(1.3179, abs=5e-5)
    # (.0599 - .0475) / sqrt(.0537 × .9463 × 2 / n)
    assert two_proportion_z(0.0599, 0.0475, 1726) == pytest.approx(1.6159, abs=5e-5)
    assert two_proportion_z(0.0599, 0.0475, 5178) == pytest.approx(2.7989, abs=5e-5)


@given(st.integers(2, 10_000), st.data())
def test_z_squared_is_chi_squared_of_a_2_by_2_table(n: int, data: st.DataObject) -> None:
    one, two = (data.draw(st.integers(0, n)) for _ in range(2))
    found = two_proportion_z(one / n, two / n, n)
    if one == two:
        assert found == 0
        return
    counts = np.array([[one, n - one], [two, n - two]])
    chi2 = stats.chi2_contingency(counts, correction=False).statistic
    assert found**2 == pytest.approx(chi2, rel=1e-9)
    assert (found > 0) == (one > two)
    assert two_proportion_z(two / n, one / n, n) == pytest.approx(-found)


@pytest.mark.parametrize(("a", "b", "n"), [(-0.1, 0.5, 9), (0.5, 1.1, 9), (0.5, 0.4, 0)])
def test_what_is_no_share_is_refused(a: float, b: float, n: int) -> None:
    with pytest.raises(ValueError, match="expected shares"):
        two_proportion_z(a, b, n)


def test_verdicts_name_both_cases() -> None:
    assert support_of(1.9, -1.9) == "not shown either way"
    assert support_of(1.5, 2.5) == "borderline"
    assert support_of(-2.0, -3.4) == "shown either way"


def test_the_papers_own_numbers_do_not_show_gti_above_lc_rec() -> None:
    found = {(t.a, t.b, t.metric): t for t in reported_differences(table("gti-vibrent"))}
    recalls = [f"recall@{k}" for k in (5, 10, 20, 50, 100)]
    rivals = [found["GTI + SFT", "mean + LC-Rec tasks", metric] for metric in recalls]
    assert {each.support for each in rivals} == {"not shown either way"}
    assert {each.support_at_most for each in rivals} == {"not shown either way"}
    over_mean = [found["GTI + SFT", "mean + SFT", metric].support for metric in recalls]
    assert over_mean == ["not shown either way", *["borderline"] * 4]
    at_20 = found["GTI + SFT", "mean + LC-Rec tasks", "recall@20"]
    assert at_20.p_users == pytest.approx(2 * stats.norm.sf(0.76089), rel=1e-4)
    assert at_20.p_prompts == pytest.approx(2 * stats.norm.sf(1.31790), rel=1e-4)


def test_ndcg_is_not_tested() -> None:
    found = [t for t in reported_differences(table("gti-vibrent")) if t.metric.startswith("ndcg")]
    assert len(found) == 15
    for each in found:
        assert each.z_users is each.z_prompts is each.p_users is each.p_prompts is None
        assert each.support == each.support_at_most == "cannot be tested"


def test_nothing_is_tested_where_the_number_of_users_is_unknown() -> None:
    assert reported_differences(table("llada-rec-scientific")) == []
    assert check_counts(table("llada-rec-scientific")) is None
    assert check_counts(table("tiger-beauty")) is None  # stated: nothing to infer
    assert {t.support for t in reported_differences(table("tiger-beauty"))} >= {"shown either way"}
