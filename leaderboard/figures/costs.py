"""Scores against what they cost, actual FLOPs and time of a cell, with the front of the cheapest.

A method is on the front where no other costs at most as much and scores at least as well, one of
the two truly better (Pareto's order). The front is of means: the intervals say how far it can be
trusted.
"""

from collections.abc import Sequence

from leaderboard.board.board import Leaderboard
from leaderboard.figures.axes import FLOPS, Scale
from leaderboard.figures.intervals import Interval, beyond_scores
from leaderboard.figures.lines import Point, draw_points
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Figure
from leaderboard.metrics.metrics import WHOLE, is_loss
from leaderboard.render.numbers import duration, flops, score


def front(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """The places of the points on Pareto's front, the cheapest first.

    Args:
        costs: less is better.
        gains: more is better; as many.
    """
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -gains[place]))
    found: list[int] = []
    for place in order:
        alike = found and (costs[place], gains[place]) == (costs[found[-1]], gains[found[-1]])
        if alike or not found or gains[place] > gains[found[-1]]:
            found.append(place)
    return found


def costs(board: Leaderboard, keys: Sequence[str], palette: Palette) -> list[Figure]:
    """Score with its interval against actual FLOPs and against time per cell, if any is known."""
    points = [
        (row.key, row.actual_flops, row.seconds, Interval(s.mean, s.low, s.high))
        for row in map(board.row, keys)
        if (s := row.score) is not None and row.actual_flops is not None
    ]
    if not points:
        return []
    loss, scored = is_loss(board.metric), board.metric not in WHOLE
    cut = scored and any(beyond_scores(found.low, None) for *_, found in points)
    y = Scale(f"test {board.metric}", low=0.0 if cut else None)
    drawn = [
        ("FLOPs", Scale("actual FLOPs of a cell", write=FLOPS), [cost for _, cost, *_ in points]),
        (
            "time",
            Scale("minutes of a cell, as measured"),
            [seconds / 60 for *_, seconds, _ in points],
        ),
    ]
    gains = [-found.mean if loss else found.mean for *_, found in points]
    listed = "; ".join(
        f"{key} {score(found.mean)} at {flops(cost)} and {duration(seconds)}"
        for key, cost, seconds, found in points
    )
    figures = []
    for what, x, places in drawn:
        ahead = [points[place][0] for place in front(places, gains)]
        figures.append(
            draw_points(
                f"Test {board.metric} over {what}",
                f"{listed}. On the front: {', '.join(ahead)}.",
                [
                    Point(key, palette.look(key), place, found)
                    for (key, *_, found), place in zip(points, places, strict=True)
                ],
                x,
                y,
                front=ahead,
            )
        )
    return figures
