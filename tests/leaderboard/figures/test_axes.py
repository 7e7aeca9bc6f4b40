"""Axes and labels beside them, compared with plain computations and read from what is drawn."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.figures.axes import FLOPS, Scale, spread
from leaderboard.figures.inline_svg import draw
from leaderboard.figures.lines import Series, draw_lines
from leaderboard.figures.palette import look


def drawn(x: Scale, y: Scale, *points: tuple[float, float]) -> str:
    line = Series("mean", look("black", 0), points)
    return str(draw(draw_lines("A figure", "It.", [line], x, y)).html)


def ticks(page: str) -> list[str]:
    """The texts below the plot and then those to its left."""
    return re.findall(r'class="tick"[^>]*>([^<]*)<', page)


def path(page: str) -> list[tuple[float, float]]:
    """Where the corners of the line are."""
    (found,) = re.findall(r'class="line" d="([^"]*)"', page)
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", found)]


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


def test_labels_on_a_logarithmic_axis_part_by_pixels_and_the_first_of_equals_is_above() -> None:
    found = Scale("", kind="log").labels([1e-3, 1e-3], (1e-6, 1.0), height=84.0)
    assert found == pytest.approx([1e-3 * 10**0.5, 1e-3 * 10**-0.5])


def test_a_logarithmic_axis_has_few_powers_of_ten_written_short() -> None:
    page = drawn(Scale("x"), Scale("y", 1e-6, 1.2, "log"), (0, 1), (1, 1e-4))
    assert ticks(page)[-4:] == ["1e-6", ".0001", ".01", "1"]


def test_ticks_are_written_without_zeros_that_say_nothing_and_flops_with_a_prefix() -> None:
    page = drawn(Scale("x", 0.0, write=FLOPS), Scale("y", 0.0), (0, 0), (1.5e13, 0.05))
    assert ticks(page) == ["0", "5 T", "10 T", "15 T", "0", ".01", ".02", ".03", ".04", ".05"]


def test_places_are_linear_and_what_lies_beyond_an_axis_is_drawn_at_its_end() -> None:
    x, y = Scale("x", 0.0, 10.0), Scale("y", 0.0, 1.0)
    corners = path(drawn(x, y, (0, 0), (2.5, 0.5), (10, 7)))
    assert [x for x, _ in corners] == pytest.approx([0, 84.5, 338], abs=0.02)
    assert [y for _, y in corners] == pytest.approx([202, 101, 0], abs=0.02)


def test_zero_can_be_spread_out_with_order_kept_and_small_values_parted() -> None:
    spread_out = Scale("x", -0.1, 1.0, "symlog", linear_to=0.05, ticks=(-1, -0.05, 0, 0.05, 1))
    values = (-0.1, 0.0, 0.01, 0.05, 0.2, 1.0)
    page = drawn(spread_out, Scale("y"), *((value, value) for value in values))
    places = [x for x, _ in path(page)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == pytest.approx((0, 338), abs=0.02)
    assert places[3] - places[1] > 2 * 338 * 0.05 / 1.1
    assert ticks(page)[:4] == ["−.05", "0", ".05", "1"]
