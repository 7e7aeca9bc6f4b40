"""Figures of many methods: names that do not overlap, the reference above all, narrow screens."""

import re
from itertools import pairwise

from leaderboard.figures.charts import power
from leaderboard.figures.drawings import CROWDED, Line, Scale, draw_lines

SCALE = Scale("x", str, low=0.0)


def figure(count: int) -> str:
    """Lines of `count` methods that nearly end at one place, the first being `mean`."""
    keys = ["mean", *(f"m{place}" for place in range(1, count))]
    lines = [
        Line(key, [(0, 0), (1, 0.05 + place * 1e-4)], [(0, 0, 0.01), (1, 0.04, 0.06)])
        for place, key in enumerate(keys)
    ]
    return str(draw_lines("A figure", "What it shows.", lines, SCALE, SCALE))


def test_eighteen_names_keep_their_distance_in_the_order_of_the_lines_ends() -> None:
    drawn = figure(18)
    names = re.findall(r'class="name" x="[\d.]+" y="([\d.]+)">([^<]+)<', drawn)
    by_height = sorted((float(y), key) for y, key in names)
    assert len(by_height) == 18
    assert all(two[0] - one[0] >= 13 for one, two in pairwise(by_height))
    assert [key for _, key in by_height] == [*(f"m{n}" for n in range(17, 0, -1)), "mean"]
    assert drawn.count('class="leader"') == 18


def test_the_reference_is_marked_and_lies_above_all_others() -> None:
    groups = re.findall(r'<g class="(series[^"]*)" data-method="(\w+)">', figure(18))
    figures = groups[:18]
    assert figures[-1][1] == "mean"
    assert [key for classes, key in figures if "base" in classes.split()] == ["mean"]


def test_only_a_crowded_figure_is_drawn_quieter() -> None:
    assert 'class="figure crowded"' in figure(CROWDED + 1)
    assert 'class="figure"' in figure(CROWDED)


def test_a_narrow_screen_has_the_same_names_in_a_list() -> None:
    listed = re.findall(r'<li data-method="(\w+)"><svg.*?</svg> (\w+)</li>', figure(7))
    assert [key for key, _ in listed] == ["mean", *(f"m{n}" for n in range(1, 7))]
    assert all(key == name for key, name in listed)


def test_powers_of_ten_are_written_as_such() -> None:
    assert [power(value) for value in (1.0, 1e-2, 1e-6, 1e12)] == ["1", "10⁻²", "10⁻⁶", "10¹²"]
