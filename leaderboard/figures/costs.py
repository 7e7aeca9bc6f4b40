"""Scores against what they cost: nominal FLOPs and time of a cell."""

from collections.abc import Sequence

from leaderboard.board.board import Leaderboard
from leaderboard.figures.axes import FLOPS, Scale
from leaderboard.figures.intervals import Interval, beyond_scores
from leaderboard.figures.lines import Point, draw_points
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Figure
from leaderboard.render.numbers import duration, flops, score


def costs(board: Leaderboard, keys: Sequence[str], palette: Palette) -> list[Figure]:
    """Score with its interval against nominal FLOPs and against time per cell, if any is known."""
    points = [
        (row.key, row.nominal_flops, row.seconds, Interval(s.mean, s.low, s.high))
        for row in map(board.row, keys)
        if (s := row.score) is not None and row.nominal_flops is not None
    ]
    if not points:
        return []
    listed = "; ".join(
        f"{key} {score(found.mean)} at {flops(cost)} and {duration(seconds)}"
        for key, cost, seconds, found in points
    )
    cut = any(beyond_scores(found.low, None) for *_, found in points)
    y = Scale(f"test {board.metric}", low=0.0 if cut else None)
    drawn = [
        ("FLOPs", Scale("nominal FLOPs of a cell", write=FLOPS), [cost for _, cost, *_ in points]),
        (
            "time",
            Scale("minutes of a cell, as measured"),
            [seconds / 60 for *_, seconds, _ in points],
        ),
    ]
    return [
        draw_points(
            f"Test {board.metric} over {what}",
            f"{listed}.",
            [
                Point(key, palette.look(key), place, found)
                for (key, *_, found), place in zip(points, places, strict=True)
            ],
            x,
            y,
        )
        for what, x, places in drawn
    ]
