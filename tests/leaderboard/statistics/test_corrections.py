"""Holm's correction and the letters of ties."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.statistics.corrections import holm, tie_letters

NAMES = ["a1", "b2", "c3", "d4", "e5"]
PAIRS = list(itertools.combinations(NAMES, 2))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_holm_leaves_the_undefined_out() -> None:
    assert holm([0.02, None, 0.01]) == [0.02, None, 0.02]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_bonferroni_on_every_subset(p_values: list[float]) -> None:
    """The closed test that Holm's steps shorten: the worst subset that a hypothesis is in."""
    indices = range(len(p_values))
    subsets = [
        s for size in range(1, len(p_values) + 1) for s in itertools.combinations(indices, size)
    ]
    closed = [
        max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s)
        for i in indices
    ]
    assert holm(p_values) == pytest.approx(closed)


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
