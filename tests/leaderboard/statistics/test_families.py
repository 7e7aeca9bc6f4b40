"""Primary tests first, the rest behind them: by hand, and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.statistics.corrections import holm
from leaderboard.statistics.families import fixed_order, gatekeep

P = st.floats(0, 1)


def test_a_fixed_order_stops_at_the_first_that_is_not_shown() -> None:
    assert fixed_order([0.01, 0.04, 0.20, 0.001]) == [0.01, 0.04, 0.20, 0.20]
    assert fixed_order([0.03, 0.01]) == [0.03, 0.03]
    assert fixed_order([0.01, None, 0.001]) == [0.01, None, 1.0]


def test_secondary_tests_by_hand_behind_an_open_gate() -> None:
    found = gatekeep([0.001, 0.03], [0.02, None, 0.004, 0.5])
    assert found.open
    assert found.primary == (0.001, 0.03)
    # Holm: 2 x .02, 3 x .004 and .5; none below the gate's .03.
    assert found.secondary == (pytest.approx(0.04), None, pytest.approx(0.03), 0.5)


@pytest.mark.parametrize("last", [0.06, None])
def test_one_primary_test_that_is_not_shown_leaves_nothing_secondary_to_claim(
    last: float | None,
) -> None:
    found = gatekeep([0.001, last], [1e-9, 0.2])
    assert not found.open
    assert found.primary == (0.001, last)
    assert found.secondary == (None, None)


def test_primary_tests_by_holm_may_be_shown_in_any_order() -> None:
    p_values = [0.2, 0.001, 0.01]
    assert gatekeep(p_values, [], "holm").primary == pytest.approx((0.2, 0.003, 0.02))
    assert gatekeep(p_values, []).primary == (0.2, 0.2, 0.2)


def test_without_a_primary_test_there_is_no_gate() -> None:
    with pytest.raises(ValueError, match="no primary test"):
        gatekeep([], [0.01])


@given(st.lists(P, min_size=1, max_size=5), st.lists(P, max_size=5))
def test_nothing_is_claimed_that_its_own_family_would_not_claim(
    primary: list[float], secondary: list[float]
) -> None:
    found = gatekeep(primary, secondary)
    for own, p in zip(found.primary, primary, strict=True):
        assert own is not None
        assert own >= p
    assert found.open == all(p < 0.05 for p in primary)
    for own, alone in zip(found.secondary, holm(secondary), strict=True):
        assert own is None or (alone is not None and own >= alone)


@pytest.mark.parametrize("rule", ["fixed order", "holm"])
@pytest.mark.parametrize("true_primaries", [0, 1, 3])
def test_false_claims_are_made_on_five_boards_in_a_hundred_whatever_is_true(
    rule: str, true_primaries: int
) -> None:
    generator = np.random.default_rng([len(rule), true_primaries])
    boards = 4000
    primary, secondary = generator.random((boards, 3)), generator.random((boards, 6))
    primary[:, :true_primaries] *= 1e-6  # differences that are there and plain
    wrong = 0
    for one, two in zip(primary.tolist(), secondary.tolist(), strict=True):
        found = gatekeep(one, two, rule)  # type: ignore[arg-type]
        false = [*found.primary[true_primaries:], *found.secondary]
        wrong += any(p is not None and p < 0.05 for p in false)
    assert wrong / boards < 0.06
