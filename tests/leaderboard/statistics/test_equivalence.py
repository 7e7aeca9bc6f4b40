"""Two one-sided tests by Student's distribution and by simulation; the four verdicts."""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.crossed import MeanSquares, margin, mean_squares
from leaderboard.statistics.equivalence import equivalence_p, verdict

ERROR = 0.01
SEEDS_ALONE = MeanSquares(6, 100, np.asarray(600 * ERROR**2), np.asarray(0.0), np.asarray(0.0))
"""Nothing but six seeds moves the mean: 5 degrees of freedom and this standard error."""


@pytest.mark.parametrize("mean", [-0.04, -0.012, 0.0, 0.02, 0.05])
def test_p_is_the_larger_of_two_one_sided_t_tests(mean: float) -> None:
    larger = max(
        stats.t.sf((0.03 + mean) / ERROR, 5),  # of "it is at most -.03"
        stats.t.sf((0.03 - mean) / ERROR, 5),
    )
    assert equivalence_p(mean, SEEDS_ALONE, 0.03) == pytest.approx(larger, rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_equal_is_where_the_90_percent_interval_lies_within_the_margin(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(0.02, 0.3, size=(5, 200)) + generator.normal(0, 0.03, size=(5, 1))
    mean, squares = float(values.mean()), mean_squares(values)
    half = float(margin(squares, 0.10))
    reach = abs(mean) + half
    for bound in (0.999 * reach, 1.001 * reach):
        found = equivalence_p(mean, squares, bound)
        assert found is not None
        assert (found < 0.05) == (bound > reach)


def test_the_four_verdicts() -> None:
    assert verdict(0.04, SEEDS_ALONE, 0.02, 0.01) == "better"
    assert verdict(-0.04, SEEDS_ALONE, 0.02, 0.01) == "worse"
    assert verdict(0.001, SEEDS_ALONE, 0.03, 0.9) == "equal"
    assert verdict(0.001, SEEDS_ALONE, 0.02, 0.9) == "open"
    # Shown although it lies within the margin; not shown where the gate before it is shut.
    assert verdict(0.001, SEEDS_ALONE, 0.03, 0.01) == "better"
    assert verdict(0.04, SEEDS_ALONE, 0.03, None) == "open"


def test_of_two_losses_the_lower_is_better() -> None:
    assert verdict(-0.04, SEEDS_ALONE, 0.02, 0.01, higher_is_better=False) == "better"
    assert verdict(0.04, SEEDS_ALONE, 0.02, 0.01, higher_is_better=False) == "worse"
    assert verdict(0.001, SEEDS_ALONE, 0.03, 0.9, higher_is_better=False) == "equal"


def test_what_does_not_vary_is_equal_only_where_it_is_the_same() -> None:
    still = mean_squares(np.full((3, 10), 0.01))
    assert equivalence_p(0.01, still, 0.02) is None
    assert verdict(0.01, still, 0.02, None) == "open"


@pytest.mark.parametrize("bound", [0.0, -0.1, math.nan])
def test_a_margin_must_be_above_zero(bound: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        equivalence_p(0.0, SEEDS_ALONE, bound)


def test_a_difference_as_large_as_the_margin_is_called_equal_five_times_in_a_hundred() -> None:
    generator = np.random.default_rng(1)
    boards, seeds, users = 2000, 5, 60
    values = (
        generator.normal(0.5, 1, size=(boards, seeds, users))
        + generator.normal(0, 0.1, size=(boards, seeds, 1))
        + generator.normal(0, 0.2, size=(boards, 1, users))
    )
    squares = mean_squares(values)
    within = np.abs(values.mean(axis=(1, 2))) + margin(squares, 0.10) < 0.5
    assert 0.03 < within.mean() < 0.06
