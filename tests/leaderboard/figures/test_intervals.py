"""Intervals in a table's cells: their scale, and what is cut off where no score can be."""

import re
from itertools import pairwise

import pytest

from leaderboard.figures.intervals import (
    Interval,
    beyond_scores,
    draw_interval,
    draw_scale,
    interval_axis,
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
