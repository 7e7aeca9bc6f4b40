"""The crossed model against hand computation, statsmodels and simulated boards."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from leaderboard import statistics as s


def boards(
    generator: np.random.Generator,
    shape: tuple[int, int, int],
    seed_sd: float,
    user_sd: float,
    residual_sd: float = 1.0,
) -> np.ndarray:
    """Simulated boards `[boards, seeds, users]` with true mean zero."""
    num, seeds, users = shape
    return (
        generator.normal(size=(num, seeds, 1)) * seed_sd
        + generator.normal(size=(num, 1, users)) * user_sd
        + generator.normal(size=shape) * residual_sd
    )


def test_mean_squares_by_hand() -> None:
    # Seed means 1, 3; user means 1, 2, 3; no interaction but at one corner.
    values = np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
    squares = s.mean_squares(values)
    assert squares.seed == pytest.approx(3 * ((1 - 2) ** 2 + (3 - 2) ** 2) / 1)
    assert squares.user == pytest.approx(2 * (1 + 0 + 1) / 2)
    assert squares.residual == pytest.approx(0, abs=1e-15)


def test_mean_squares_agree_with_statsmodels() -> None:
    pandas = pytest.importorskip("pandas")
    formula = pytest.importorskip("statsmodels.formula.api")
    from statsmodels.stats.anova import anova_lm

    values = boards(np.random.default_rng(1), (1, 4, 12), 0.5, 1.0)[0]
    seeds, users = np.indices(values.shape)
    frame = pandas.DataFrame({"y": values.ravel(), "s": seeds.ravel(), "u": users.ravel()})
    table = anova_lm(formula.ols("y ~ C(s) + C(u)", frame).fit())
    squares = s.mean_squares(values)
    for ours, name in (
        (squares.seed, "C(s)"),
        (squares.user, "C(u)"),
        (squares.residual, "Residual"),
    ):
        assert ours == pytest.approx(table.loc[name, "mean_sq"])


def test_one_seed_is_the_plain_t_interval_over_users_and_says_so() -> None:
    values = np.random.default_rng(2).normal(0.3, 1, size=(1, 40))
    found = s.estimate(values)
    low, high = scipy_stats.t.interval(
        0.95, 39, loc=values.mean(), scale=scipy_stats.sem(values[0])
    )
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(scipy_stats.ttest_1samp(values[0], 0).pvalue, rel=1e-6)
    assert found.scope == "conditional on one seed"
    assert found.seed_sd is None


def test_when_only_seeds_vary_it_is_the_t_interval_over_seeds() -> None:
    means = np.array([0.1, 0.4, 0.2])
    found = s.estimate(np.repeat(means[:, None], 30, axis=1))
    low, high = scipy_stats.t.interval(0.95, 2, loc=means.mean(), scale=scipy_stats.sem(means))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(scipy_stats.ttest_1samp(means, 0).pvalue, rel=1e-6)
    assert found.seed_sd == pytest.approx(np.std(means, ddof=1))


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("users", [60, 300])
@pytest.mark.parametrize(
    ("seed_sd", "user_sd"),
    # Seed variance zero, small and plain beside the residual's; user variance likewise. 0.13 at
    # 60 users makes the seed part of Var(mean) about as large as the residual's.
    [(0.0, 0.0), (0.0, 0.6), (0.0, 1.2), (0.13, 0.0), (0.13, 0.6), (0.3, 0.8), (0.3, 0.0)],
)
def test_intervals_cover_95_percent_of_the_time(
    seeds: int, users: int, seed_sd: float, user_sd: float
) -> None:
    # The true coverage lies between .949 and .972 (see the module); 2,000 boards know a share near
    # .95 to half a percentage point, so the bounds leave three of those on either side.
    generator = np.random.default_rng([seeds, users, int(100 * seed_sd), int(100 * user_sd)])
    values = boards(generator, (2000, seeds, users), seed_sd, user_sd)
    half = s.margin(s.mean_squares(values))
    covered = float(np.mean(np.abs(values.mean(axis=(1, 2))) <= half))
    assert 0.934 <= covered <= 0.982


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("seed_sd", [0.0, 0.15, 0.4])
def test_hits_and_misses_give_no_more_than_7_percent_false_positives(
    seeds: int, seed_sd: float
) -> None:
    """Two methods whose users hit or miss with the same chances: a difference is seldom found."""
    generator = np.random.default_rng([seeds, int(100 * seed_sd)])
    num, users = 2000, 200
    ease = generator.normal(-2.4, 1.2, size=(num, 1, users))
    differences = np.zeros((num, seeds, users))
    for sign in (1, -1):
        own = generator.normal(size=(num, 1, users)) * 0.3
        drift = generator.normal(size=(num, seeds, 1)) * seed_sd
        chance = 1 / (1 + np.exp(-(ease + own + drift)))
        differences += sign * (generator.random((num, seeds, users)) < chance)
    half = s.margin(s.mean_squares(differences))
    assert float(np.mean(np.abs(differences.mean(axis=(1, 2))) > half)) <= 0.07


def test_p_is_under_5_percent_exactly_where_the_interval_excludes_zero() -> None:
    values = boards(np.random.default_rng(5), (60, 3, 50), 0.1, 0.5) + 0.3
    for board in values:
        found = s.estimate(board)
        assert found.low is not None
        assert found.high is not None
        assert found.p is not None
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_no_difference_anywhere_is_p_1_and_no_variation_around_a_difference_has_no_p() -> None:
    same = s.estimate(np.zeros((3, 10)))
    assert (same.low, same.high, same.p) == (0, 0, 1)
    assert s.estimate(np.full((3, 10), 0.1)).p is None


def test_seeds_that_coincide_by_chance_do_not_make_the_interval_vanish() -> None:
    # Each seed has two hits among six users, at other users: equal means, much residual noise.
    values = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], dtype=float)
    found = s.estimate(values)
    assert found.high is not None
    assert found.low is not None
    assert found.high > found.low


def test_a_user_without_others_or_nothing_at_all_is_not_overclaimed() -> None:
    assert s.estimate(np.array([[0.5]])).scope == "undefined"
    assert s.estimate(np.array([[0.5]])).low is None
    assert s.estimate(np.array([[0.5], [0.7]])).scope == "one user"
    with pytest.raises(ValueError, match="expected"):
        s.estimate(np.zeros((0, 3)))


@pytest.mark.parametrize("seeds", [1, 3, 10])
def test_the_smallest_difference_is_shown_four_times_in_five(seeds: int) -> None:
    generator = np.random.default_rng(7)
    users, seed_sd, user_sd = 100, 0.08, 0.4
    if seeds == 1:
        seed_sd = 0.0
    expected = s.MeanSquares(
        seeds,
        users,
        np.float64(1 + users * seed_sd**2),
        np.float64(1 + seeds * user_sd**2),
        np.float64(1.0),
    )
    smallest = s.smallest_difference(expected)
    values = boards(generator, (4000, seeds, users), seed_sd, user_sd) + smallest
    half = s.margin(s.mean_squares(values))
    shown = float(np.mean(np.abs(values.mean(axis=(1, 2))) > half))
    assert shown == pytest.approx(0.80, abs=0.04)


def test_more_seeds_show_smaller_differences_until_users_are_the_limit() -> None:
    squares = s.mean_squares(boards(np.random.default_rng(3), (1, 3, 200), 0.1, 0.3)[0])
    smallest = s.smallest_difference(squares)
    assert smallest is not None
    needed = [s.seeds_needed(squares, smallest * share) for share in (2.0, 1.0, 0.7)]
    assert needed[0] is not None
    assert needed[1] == 3
    assert needed[2] is not None
    assert needed[0] <= needed[1] < needed[2]
    assert s.seeds_needed(squares, 1e-6) is None
    assert s.seeds_needed(s.mean_squares(np.ones((1, 5))), 0.1) is None


def test_no_variation_has_no_smallest_difference() -> None:
    assert s.smallest_difference(s.mean_squares(np.zeros((3, 5)))) is None


@pytest.mark.parametrize("degrees", [1, 2, 9, 942, 21_999])
@pytest.mark.parametrize("level", [1e-12, 0.05 / 190, 0.05, 1.0])
def test_critical_values_are_students_to_the_last_digit(degrees: int, level: float) -> None:
    assert s._critical(level, degrees) == scipy_stats.t.isf(level / 2, degrees)
