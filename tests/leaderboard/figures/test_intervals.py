"""Intervals in a table's cells: their scale, and what is cut off where no score can be."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.figures.intervals import (
    Axis,
    Interval,
    beyond_scores,
    draw_interval,
    draw_scale,
    interval_axis,
    tag,
    widened,
)
from leaderboard.site.tables import cut_off_note, tick
from leaderboard.statistics.crossed import Estimate


def places(drawing: str) -> list[tuple[float, float]]:
    """From where to where the lines of a drawing go across."""
    found = re.findall(r'class="bar" x1="([-\d.]+)" x2="([-\d.]+)"', drawing)
    return [(float(one), float(two)) for one, two in found]


def test_an_interval_of_a_score_below_zero_is_drawn_to_zero_without_an_end_there() -> None:
    below, within = Interval(0.0086, -0.0087, 0.0259), Interval(0.02, 0.01, 0.03)
    axis = interval_axis([below, within], tick, zero=False)
    assert axis.low == 0
    (bar, cap), whole = (
        places(draw_interval(axis, below, "cell")),
        places(draw_interval(axis, within, "cell")),
    )
    assert bar[0] == pytest.approx(axis.place(0.0), abs=0.01)
    assert cap == (bar[1], bar[1])
    assert len(whole) == 3


def test_a_difference_below_zero_is_drawn_whole() -> None:
    found = Interval(0.0086, -0.0087, 0.0259)
    axis = interval_axis([found], tick, zero=True)
    assert axis.low < -0.0087
    assert len(places(draw_interval(axis, found, "open"))) == 3


@pytest.mark.parametrize(
    ("low", "high", "beyond"),
    [(-0.01, 0.2, True), (0.5, 1.01, True), (0.0, 1.0, False), (None, None, False)],
)
def test_what_no_score_can_be_is_told(low: float | None, high: float | None, beyond: bool) -> None:
    assert beyond_scores(low, high) is beyond


def test_the_note_is_there_only_where_something_is_cut_off() -> None:
    def of(low: float) -> Estimate:
        return Estimate(
            mean=0.0086, seed_sd=None, low=low, high=0.0259, standard_error=0.005, p=None,
            num_seeds=1, num_users=9, scope="conditional on one seed",
        )  # fmt: skip

    assert cut_off_note([None, of(0.001)], "ndcg@10") == []
    (note,) = cut_off_note([of(0.001), of(-0.0087)], "ndcg@10")
    assert "drawn to 0" in note


@pytest.mark.parametrize(("low", "high"), [(0.0102, 0.0811), (0.0, 0.0332), (0.041, 0.059)])
def test_a_scale_names_three_ticks_that_do_not_touch(low: float, high: float) -> None:
    axis = interval_axis([Interval(low, low, high)], tick, zero=False)
    drawn = re.findall(r'class="tick" x="([\d.]+)"[^>]*>([^<]+)<', draw_scale(axis))
    assert len(drawn) >= 3
    ends = sorted((float(x) - 3 * len(text), float(x) + 3 * len(text)) for x, text in drawn)
    assert all(one[1] <= two[0] for one, two in pairwise(ends))


def test_attributes_and_text_are_escaped_and_numbers_short() -> None:
    made = tag("text", "a < b", class_='"x"', stroke_width=1.0, x=2 / 3, y=-0.001)
    assert made == '<text class="&#34;x&#34;" stroke-width="1" x="0.67" y="0">a &lt; b</text>'
    assert tag("g", tag("b", "&")) == "<g><b>&amp;</b></g>"


def test_places_are_linear_and_stay_within_the_axis() -> None:
    axis = Axis(0.0, 10.0, 100.0, 200.0, str)
    assert [axis.place(v) for v in (0, 2.5, 10, 99, -1)] == [100, 125, 200, 200, 100]


@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1e4), st.integers(2, 5))
def test_a_scale_has_at_least_as_many_ticks_as_asked_for_and_they_lie_within(
    low: float, span: float, fewest: int
) -> None:
    axis = Axis(low, low + span, 0.0, 1.0, str)
    ticks = axis.ticks_at_least(fewest)
    assert fewest <= len(ticks) <= 5 * fewest
    slack = 1e-6 * max(span, abs(low))
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)


def test_a_margin_is_left_even_without_a_span() -> None:
    assert widened([0.0, 1.0], 0.1) == (-0.1, 1.1)
    assert widened([4.0]) == (2.0, 6.0)
    assert widened([0.0]) == (-1.0, 1.0)
