"""Seed variances moderated over the methods: by hand, by numerical moments, by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from leaderboard.statistics.crossed import (
    MeanSquares,
    estimate,
    margin,
    mean_squares,
    p_value,
    seeds_needed,
    smallest_difference,
)
from leaderboard.statistics.moderated import (
    PLAINLY_MORE,
    SeedPrior,
    inverse_trigamma,
    moderate,
    prior_of,
    seed_prior,
    shrink,
)


def prior(ratio: float, degrees: float) -> SeedPrior:
    return SeedPrior(np.asarray(ratio), np.asarray(degrees))


def squares(ratio: float, seeds: int = 5, users: int = 100, residual: float = 2.0) -> MeanSquares:
    """Mean squares of a difference to whose mean users add nothing."""
    left = np.asarray(residual)
    return MeanSquares(seeds, users, ratio * left, left, left)


def draws(seed: int, methods: int = 8, seeds: int = 5, users: int = 60) -> np.ndarray:
    """[M, S, U] scores with effects of users and, unlike by method, of methods within seeds."""
    generator = np.random.default_rng(seed)
    unlike = np.geomspace(0.05, 3, methods)[:, None, None]
    return (
        generator.normal(size=(1, 1, users))
        + generator.normal(size=(methods, seeds, 1)) * unlike
        + generator.normal(size=(methods, seeds, users))
    )


@given(st.floats(1e-4, 1e4))
def test_the_inverse_of_trigamma_is_where_trigamma_has_the_value(value: float) -> None:
    expected = optimize.brentq(
        lambda x: special.polygamma(1, math.exp(x)) - value, math.log(1e-5), math.log(1e6)
    )
    assert inverse_trigamma(np.asarray(value)) == pytest.approx(math.exp(expected), rel=1e-7)


def test_the_prior_is_the_f_distribution_whose_logarithms_have_these_moments() -> None:
    ratios = np.array([0.4, 0.9, 1.7, 2.2, 3.1, 5.0, 9.0, 14.0])
    found = prior_of(ratios, 4)
    log_f = stats.f(4, float(found.degrees))

    def moment(power: int, center: float = 0.0) -> float:
        low, high = log_f.ppf([1e-12, 1 - 1e-12])
        grid = np.linspace(math.log(low), math.log(high), 200_001)
        density = log_f.pdf(np.exp(grid)) * np.exp(grid)
        return float(np.trapezoid((grid - center) ** power * density, grid))

    mean = moment(1)
    assert mean + math.log(found.ratio) == pytest.approx(np.log(ratios).mean(), abs=1e-5)
    assert moment(2, mean) == pytest.approx(np.log(ratios).var(ddof=1), rel=1e-4)


def test_a_prior_that_ratios_were_drawn_from_is_found_again() -> None:
    drawn = stats.f.rvs(4, 6, scale=3.0, size=40_000, random_state=1)
    found = prior_of(drawn, 4)
    assert found.ratio == pytest.approx(3.0, rel=0.03)
    assert found.degrees == pytest.approx(6.0, rel=0.06)


def test_methods_that_differ_no_more_than_chance_have_one_variance() -> None:
    found = prior_of(np.full(6, 2.5), 4)
    assert found.degrees == math.inf
    # log of a chi-squared of 4 degrees over 4 has the mean digamma(2) - log 2 = -.27036.
    assert found.ratio == pytest.approx(2.5 * math.exp(0.270363), rel=1e-5)


@pytest.mark.parametrize(
    ("ratio", "ratio0", "degrees0", "expected", "added"),
    [
        (1.0, 3.0, 2.0, 10 / 6, 2.0),  # (2 x 3 + 4 x 1) / 6
        (1.0, 3.0, math.inf, 2.0, 4.0),  # no more degrees than its own: (4 x 3 + 4 x 1) / 8
        (3.5, 3.0, 2.0, 3.5, 2.0),  # never below its own
        (0.2, 0.6, 4.0, 1.0, 4.0),  # nor below the residual
        (3.0 * PLAINLY_MORE + 0.1, 3.0, 4.0, 3.0 * PLAINLY_MORE + 0.1, 0.0),  # unlike the others
    ],
)
def test_moderated_variances_by_hand(
    ratio: float, ratio0: float, degrees0: float, expected: float, added: float
) -> None:
    found = moderate(squares(ratio), prior(ratio0, degrees0))
    assert found.seed / found.residual == pytest.approx(expected)
    assert found.added_degrees == added
    assert (found.user, found.residual) == (2.0, 2.0)


def test_interval_and_p_are_students_of_the_moderated_variance_and_degrees() -> None:
    found = moderate(squares(1.0), prior(3.0, 2.0))
    error = math.sqrt(2.0 * 10 / 6 / 500)
    assert margin(found) == pytest.approx(stats.t.isf(0.025, 6) * error)
    assert p_value(0.3, found) == pytest.approx(2 * stats.t.sf(0.3 / error, 6), rel=1e-6)


def test_a_difference_is_seen_sooner_with_what_the_other_methods_say() -> None:
    own = squares(3.0)
    together = moderate(own, prior(3.0, math.inf))
    smallest = [smallest_difference(each, 0.05 / 7) for each in (own, together)]
    assert smallest[0] is not None
    assert smallest[1] is not None
    assert smallest[1] < 0.85 * smallest[0]
    needed = [seeds_needed(each, 0.3, 0.05 / 7) for each in (own, together)]
    assert needed[0] is not None
    assert needed[1] is not None
    assert needed[1] < needed[0]


def test_below_five_seeds_and_without_a_prior_nothing_moves() -> None:
    few, enough = squares(1.0, seeds=4), squares(1.0)
    assert moderate(few, prior(3.0, 9.0)) is few
    assert moderate(enough, None) is enough
    assert seed_prior(draws(0, seeds=4)) is None
    assert seed_prior(draws(0, methods=3)) is None
    values = draws(1)[0] - draws(2)[0]
    assert estimate(values, moderate(mean_squares(values), None)) == estimate(values)


def test_what_all_methods_have_in_common_does_not_move_the_prior() -> None:
    values = draws(3)
    shared = np.random.default_rng(4).normal(0, 5, size=(1, 5, 60))
    one, other = seed_prior(values), seed_prior(values + shared)
    assert one is not None
    assert other is not None
    assert math.isfinite(one.degrees)
    assert float(one.ratio) == pytest.approx(float(other.ratio))
    assert float(one.degrees) == pytest.approx(float(other.degrees))


def test_the_prior_does_not_hang_on_the_scale_of_the_scores_or_the_order_of_methods() -> None:
    values = draws(5)
    one, other = seed_prior(values), seed_prior(100 * values[::-1])
    assert one is not None
    assert other is not None
    assert math.isfinite(one.degrees)
    assert float(one.ratio) == pytest.approx(float(other.ratio))
    assert float(one.degrees) == pytest.approx(float(other.degrees))


def test_differences_that_do_not_vary_stay_as_they_are() -> None:
    still = mean_squares(np.zeros((5, 30)))
    found = moderate(still, prior(3.0, 4.0))
    assert (found.seed, found.added_degrees) == (0, 0)
    assert estimate(np.zeros((5, 30)), found).p == 1


def test_many_differences_at_once_are_each_as_alone() -> None:
    ratios, ratio0, degrees0 = np.array([0.5, 2.0, 9.0]), np.array([1.5, 3.0, 1.2]), 5.0
    together = MeanSquares(5, 100, 2 * ratios, np.full(3, 2.0), np.full(3, 2.0))
    found = shrink(together, SeedPrior(ratio0, np.full(3, degrees0)))
    halves = margin(found)
    for place in range(3):
        alone = shrink(squares(ratios[place]), prior(ratio0[place], degrees0))
        assert halves[place] == pytest.approx(margin(alone))
