"""Slopes on logarithmic scales: power laws, numpy's own fit, a table worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.perf.growth.fit import (
    Growth,
    Point,
    last_half,
    points_table,
    reasons,
    slope,
    slopes_table,
)


def growth(name: str = "a piece") -> Growth:
    """Time of 2, 4, 12, 48 s where 1, 2, 4, 8 is expected; memory constant at 3 MiB."""
    points = [
        Point(value, seconds, 3 * 2**20, float(value))
        for value, seconds in [(1, 2.0), (2, 4.0), (4, 12.0), (8, 48.0)]
    ]
    return Growth(name, "run", "one thing each", 0.0, tuple(points))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0, -1.0])
def test_slope_of_a_power_law_is_its_exponent(exponent):
    values = [5, 10, 20, 50, 200]
    assert slope(values, [7 * value**exponent for value in values]) == pytest.approx(exponent)


def test_slope_is_numpys_least_squares_line():
    drawn = np.random.default_rng(0)
    values, amounts = drawn.uniform(1, 100, 9), drawn.uniform(1, 100, 9)
    expected = np.polyfit(np.log(values), np.log(amounts), 1)[0]
    assert slope(values.tolist(), amounts.tolist()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "amounts"), [([3], [1.0]), ([3, 3], [1.0, 2.0]), ([1, 2], [0, 4])]
)
def test_slope_is_null_where_no_line_can_be_drawn(values, amounts):
    assert slope(values, amounts) is None


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)])
def test_last_half_are_the_largest_values_and_the_middle(count, kept):
    points = growth().points * 2
    assert last_half(points[:count]) == points[count - kept : count]


def test_slopes_of_the_last_half_and_of_all_stand_beside_what_was_expected():
    # Last half: 12 to 48 s from 4 to 8, an exponent of 2. All: logarithms to base 2 are 1, 2,
    # 2 + log2(3), 4 + log2(3) at 0 … 3; the slope is (−1.5·1 − 0.5·2 + 0.5·3.585 + 1.5·5.585) / 5.
    time, expected, peak = growth().slopes(half=True)
    assert (time, expected, peak) == pytest.approx((2.0, 1.0, 0.0))
    time, expected, peak = growth().slopes(half=False)
    assert (time, expected, peak) == pytest.approx((1.5340, 1.0, 0.0), abs=1e-4)
    line = slopes_table([growth()]).splitlines()[-1]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "a piece",
        "2.00",
        "1.00",
        "1.53",
        "1.00",
        "0.00",
        "0.00",
    ]


def test_points_of_all_pieces_share_a_line_per_value():
    lines = points_table("items", [growth(), growth("other")]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["items", "a piece, ms per run", "MiB", "other, ms per run", "MiB"]
    assert cells[2] == ["1", "2,000", "3.0", "2,000", "3.0"]
    assert len(lines) == 2 + 4


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0"), (1.2345e-5, "0.0123"), (0.0567, "56.7")]
)
def test_milliseconds_have_three_digits(seconds, shown):
    one = Growth("a", "run", "", 0.0, (Point(1, seconds, 0, 1.0),))
    assert f" {shown} " in points_table("x", [one]).splitlines()[-1]
    assert slopes_table([one]).splitlines()[-1].count("–") == 5


def test_peaks_that_were_not_measured_are_left_out():
    *points, last = growth().points
    some = replace(growth(), points=(*points, replace(last, peak=None)))
    assert points_table("x", [some]).splitlines()[-1].split("|")[3].strip() == "–"
    assert some.slopes(half=False)[2] == pytest.approx(0.0)
    assert some.slopes(half=True)[2] is None


def test_each_piece_has_its_reason():
    assert reasons([growth()]) == ["- a piece: one thing each"]
