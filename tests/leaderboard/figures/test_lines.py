"""Figures of many methods: names that do not overlap, the reference above all, narrow screens."""

import re
from itertools import pairwise
from typing import Any

from leaderboard.figures.axes import Scale
from leaderboard.figures.inline_svg import draw
from leaderboard.figures.intervals import Interval
from leaderboard.figures.lines import CROWDED, Point, Series, draw_lines, draw_points
from leaderboard.figures.palette import look

SCALE = Scale("x", low=0.0)


def lines(count: int) -> list[Series]:
    """Lines of `count` methods that nearly end at one place, the first being `mean`."""
    keys = ["mean", *(f"m{place}" for place in range(1, count))]
    return [
        Series(key, look("blue", 1), [(0, 0), (1, 0.05 + place * 1e-4)], [(0, 0.01), (0.04, 0.06)])
        for place, key in enumerate(keys)
    ]


def drawn(found: list[Series]) -> str:
    return str(draw(draw_lines("A figure", "What it shows.", found, SCALE, SCALE)).html)


def names(page: str) -> list[tuple[float, str]]:
    """Heights of the names beside a plot, with the names."""
    pattern = r'class="name"[^>]*translate\([\d.]+,([\d.]+)\)">([^<]+)<'
    return sorted((float(y), key) for y, key in re.findall(pattern, page))


def attributes(page: str, key: str, kind: str) -> dict[str, str]:
    """Of the first mark of a kind that belongs to method `key`."""
    (group,) = re.findall(rf'<g class="series[^"]*" data-method="{key}">(.*?)</g>', page)
    return dict(
        re.findall(r'([\w-]+)="([^"]*)"', re.findall(rf'<\w+ class="{kind}".*?>', group)[0])
    )


def test_eighteen_names_keep_their_distance_in_the_order_of_the_lines_ends() -> None:
    page = drawn(lines(18))
    by_height = names(page)
    assert len(by_height) == 18
    assert all(two[0] - one[0] >= 13 for one, two in pairwise(by_height))
    assert [key for _, key in by_height] == [*(f"m{n}" for n in range(17, 0, -1)), "mean"]
    assert page.count('class="leader"') == 18


def test_the_reference_is_marked_and_lies_above_all_others() -> None:
    groups = re.findall(r'<g class="(series[^"]*)" data-method="(\w+)">', drawn(lines(18)))
    assert len(groups) == 18
    assert groups[-1] == ("series base", "mean")
    assert [key for classes, key in groups if "base" in classes.split()] == ["mean"]


def test_only_a_crowded_figure_is_drawn_quieter() -> None:
    crowded, few = drawn(lines(CROWDED + 1)), drawn(lines(CROWDED))
    for kind in ("line", "leader"):
        assert float(attributes(crowded, "m1", kind)["opacity"]) < 1
        assert "opacity" not in attributes(few, "m1", kind)
    assert attributes(crowded, "m1", "band")["opacity"] == "0"
    assert attributes(crowded, "mean", "line") == attributes(few, "mean", "line") | {
        "d": attributes(crowded, "mean", "line")["d"]
    }


def test_a_narrow_screen_has_the_same_names_in_a_list_with_samples_of_their_looks() -> None:
    page = drawn(lines(7))
    listed = re.findall(r'<li data-method="(\w+)"><svg.*?</svg> (\w+)</li>', page)
    assert [key for key, _ in listed] == ["mean", *(f"m{n}" for n in range(1, 7))]
    assert all(key == name for key, name in listed)
    for key, _ in listed:
        (sample,) = re.findall(rf'<li data-method="{key}"><svg[^>]*>(<.*?>)', page)
        assert f'stroke="{attributes(page, key, "line")["stroke"]}"' in sample


def test_a_single_point_is_a_dot_named_with_a_dot_and_no_leader() -> None:
    both = [*lines(1), Series("one", look("black", 0), [(0, 0.02)], label="one (rank 1)")]
    page = drawn(both)
    assert [key for _, key in names(page)] == ["mean", "one (rank 1)"]
    (group,) = re.findall(r'data-method="one">(.*?)</g>', page)
    assert re.findall(r'<(\w+) class="(\w+)"', group)[-3:] == [
        ("circle", "point"), ("circle", "sample"), ("text", "name"),
    ]  # fmt: skip
    assert "leader" not in group


def points(x: tuple[float, ...]) -> list[Point]:
    return [
        Point(f"m{n}", look("green", 2), at, Interval(0.1 * n, 0.1 * n - 0.05, 0.1 * n + 0.05))
        for n, at in enumerate(x, start=1)
    ]


def middles(found: list[Point]) -> Any:
    page = str(draw(draw_points("A figure", "It.", found, Scale("x"), Scale("y"))).html)
    pattern = r'class="point"[^>]*translate\(([\d.]+),([\d.]+)\)'
    return [(float(x), float(y)) for x, y in re.findall(pattern, page)], page


def test_points_of_equal_cost_stand_side_by_side_in_the_order_of_their_costs() -> None:
    places, page = middles(points((2.0, 2.0, 3.0)))
    across = [x for x, _ in places]
    assert 4 < across[1] - across[0] < 6
    assert across[2] > across[1] + 50
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    assert page.count('class="whisker"') == 3
    assert [key for _, key in names(page)] == ["m3", "m2", "m1"]
