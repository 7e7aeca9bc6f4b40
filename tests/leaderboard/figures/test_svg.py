"""Places, ticks and labels, compared with plain computations."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.figures.svg import Axis, spread, tag, widened


def test_attributes_and_text_are_escaped_and_numbers_short() -> None:
    made = tag("text", "a < b", class_='"x"', stroke_width=1.0, x=2 / 3, y=-0.001, title=None)
    assert made == '<text class="&#34;x&#34;" stroke-width="1" x="0.67" y="0">a &lt; b</text>'
    assert tag("g", tag("b", "&")) == "<g><b>&amp;</b></g>"


def test_places_are_linear_or_logarithmic_and_stay_within_the_axis() -> None:
    plain = Axis(0.0, 10.0, 100.0, 200.0, str)
    assert [plain.place(v) for v in (0, 2.5, 10, 99, -1)] == [100, 125, 200, 200, 100]
    log = Axis(0.01, 100.0, 0.0, 4.0, str, log=True)
    assert [log.place(v) for v in (0.01, 0.1, 1, 10, 100)] == pytest.approx([0, 1, 2, 3, 4])
    assert log.place(0.0) == 0


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6), st.integers(2, 8))
def test_ticks_are_few_even_and_within_the_axis(low: float, span: float, most: int) -> None:
    axis = Axis(low, low + span, 0.0, 1.0, str)
    ticks = axis.ticks(most)
    assert len(ticks) <= most + 1
    slack = 1e-6 * max(span, abs(low))
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)
    steps = [two - one for one, two in itertools.pairwise(ticks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-3, abs_tol=slack) for step in steps)


@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1e4), st.integers(2, 5))
def test_a_scale_has_at_least_as_many_ticks_as_asked_for_and_they_lie_within(
    low: float, span: float, fewest: int
) -> None:
    axis = Axis(low, low + span, 0.0, 1.0, str)
    ticks = axis.ticks_at_least(fewest)
    assert fewest <= len(ticks) <= 5 * fewest
    slack = 1e-6 * max(span, abs(low))
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)


def test_logarithmic_ticks_are_powers_of_ten() -> None:
    assert Axis(1e-6, 1.2, 0.0, 1.0, str, log=True).ticks(4) == pytest.approx([1e-6, 1e-4, 1e-2, 1])


@given(st.lists(st.floats(0, 100), max_size=12), st.floats(0.1, 30))
def test_labels_keep_their_order_and_distance_and_stay_inside(
    places: list[float], gap: float
) -> None:
    moved = spread(places, 0.0, 100.0, gap)
    assert len(moved) == len(places)
    if not places:
        return
    least = min(gap, 100 / max(len(places) - 1, 1))
    order = sorted(range(len(places)), key=lambda index: (places[index], index))
    ordered = [moved[index] for index in order]
    assert all(two - one >= least - 1e-6 for one, two in itertools.pairwise(ordered))
    assert ordered[0] >= -1e-6
    assert ordered[-1] <= 100 + 1e-6


def test_labels_far_apart_stay_and_two_at_one_place_part_evenly() -> None:
    assert spread([10.0, 50.0, 90.0], 0, 100, 13) == [10, 50, 90]
    assert spread([50.0, 50.0], 0, 100, 10) == [45, 55]


def test_a_margin_is_left_even_without_a_span() -> None:
    assert widened([0.0, 1.0], 0.1) == (-0.1, 1.1)
    assert widened([4.0]) == (2.0, 6.0)
    assert widened([0.0]) == (-1.0, 1.0)
