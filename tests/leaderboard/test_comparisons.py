"""Holm's correction and the letters of ties."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.comparisons import holm, tie_letters

NAMES = ["a1", "b2", "c3", "d4", "e5"]
PAIRS = list(itertools.combinations(NAMES, 2))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_holm_leaves_the_undefined_out() -> None:
    assert holm([0.02, None, 0.01]) == [0.02, None, 0.02]


@settings(deadline=None, max_examples=40)  # the first call imports statsmodels
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    assert holm(p_values) == pytest.approx(
        list(multitest.multipletests(p_values, method="holm")[1])
    )


def test_letters_by_hand() -> None:
    assert tie_letters(["x", "y", "z"], []) == {"x": "a", "y": "a", "z": "a"}
    assert tie_letters(["x", "y", "z"], [("x", "z")]) == {"x": "a", "y": "ab", "z": "b"}
    assert tie_letters(["x", "y"], [("y", "x")]) == {"x": "a", "y": "b"}
    assert tie_letters(["x"], []) == {"x": "a"}


@given(st.lists(st.sampled_from(PAIRS), unique=True))
def test_two_names_share_a_letter_exactly_where_they_are_not_told_apart(
    different: list[tuple[str, str]],
) -> None:
    letters = tie_letters(NAMES, different)
    for left, right in PAIRS:
        assert bool(set(letters[left]) & set(letters[right])) == ((left, right) not in different)
