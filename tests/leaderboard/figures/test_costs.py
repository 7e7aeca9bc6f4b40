"""Quality against cost: the front is Pareto's, drawn with rings and steps, told in words."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.figures.costs import costs, front
from leaderboard.figures.inline_svg import draw
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Figure
from leaderboard.records.cells import load_cells

FEW = st.integers(0, 4).map(float)


def dominated(points: list[tuple[float, float]], place: int) -> bool:
    """Whether another point costs at most as much, gains at least as much, and is not the same."""
    cost, gain = points[place]
    return any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)


@given(st.lists(st.tuples(FEW, FEW), max_size=9))
def test_the_front_is_what_nothing_dominates_the_cheapest_first(
    points: list[tuple[float, float]],
) -> None:
    found = front([cost for cost, _ in points], [gain for _, gain in points])
    assert sorted(found) == [n for n in range(len(points)) if not dominated(points, n)]
    assert [points[n][0] for n in found] == sorted(points[n][0] for n in found)


def drawn(root: Path, metric: str, spent: dict[str, float]) -> tuple[Leaderboard, list[Figure]]:
    """The figures of a board whose methods cost so many FLOPs."""
    (board,) = load_leaderboards([root], metric).boards
    rows = tuple(replace(row, actual_flops=spent.get(row.key)) for row in board.rows)
    board = replace(board, rows=rows)
    palette = Palette.of(load_cells([root])[0])
    return board, costs(board, list(spent), palette)


def marks(figure: Figure, kind: str) -> Any:
    """Where the marks of a kind stand on the page: method → (x, y)."""
    page = str(draw(figure).html)
    found = {}
    for key, group in re.findall(r'data-method="(\w+)">(.*?)</g>', page):
        for x, y in re.findall(rf'class="{kind}"[^>]*translate\(([\d.]+),([\d.]+)\)', group):
            found[key] = (float(x), float(y))
    return found


def test_rings_are_round_the_points_of_the_front_and_the_words_name_them(
    whole_board: Path,
) -> None:
    spent = {"mean": 1e12, "random": 2e12, "gti": 3e12, "lc_rec": 4e12}
    for metric, sign in (("ndcg@10", 1.0), ("trie_nll", -1.0)):
        board, (figure, over_time) = drawn(whole_board, metric, spent)
        points = [(spent[key], sign * board.row(key).means[metric]) for key in spent]  # type: ignore[operator]
        wanted = [key for n, key in enumerate(spent) if not dominated(points, n)]
        assert 1 <= len(wanted) < 4
        rings, dots = marks(figure, "ring"), marks(figure, "point")
        assert rings == {key: dots[key] for key in wanted}
        assert figure.description.endswith(f"On the front: {', '.join(wanted)}.")
        assert len(marks(figure, "whisker")) == 4
        page = str(draw(figure).html)
        (steps,) = re.findall(r'<path class="front" d="([^"]+)"', page)
        corners = re.findall(r"[ML]?(-?[\d.]+),(-?[\d.]+)", steps)
        # To every point of the front and the axis's end, and a corner before each but the first.
        assert len(corners) == 2 * len(wanted) + 1
        assert over_time.name == f"Test {metric} over time"


def test_a_method_without_a_count_of_flops_has_no_point(whole_board: Path) -> None:
    _, (figure, _) = drawn(whole_board, "ndcg@10", {"mean": 1e12, "gti": 2e12})
    assert set(marks(figure, "point")) == {"mean", "gti"}
    (board,) = load_leaderboards([whole_board]).boards
    rows = tuple(replace(row, actual_flops=None) for row in board.rows)
    palette = Palette.of(load_cells([whole_board])[0])
    assert costs(replace(board, rows=rows), ["mean", "gti"], palette) == []
