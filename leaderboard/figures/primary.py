"""The primary contrasts of a setting: differences with their intervals, margin and verdict."""

from pathlib import Path
from typing import Any

import altair as alt

from leaderboard.board.board import Leaderboard
from leaderboard.board.primary import Decided
from leaderboard.figures.axes import Scale
from leaderboard.figures.render import Channels, Figure, Rows, layer, layered, save
from leaderboard.figures.theme import CHARACTER, FAINT, INK, SOFT, as_is
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.cells import named_seeds
from leaderboard.render.numbers import interval, signed
from leaderboard.render.primary import decision_told, decision_word, pair_of, within

NAME = "primary"
"""Of the figure's data."""
WIDTH, HIGH, GAP = 300.0, 46.0, 14.0
"""Of the plot, of a contrast's line, and between the plot and the words beside it."""
TICK = "format(datum.value, '+.3~f')"
SHOWN, OPEN = "#0072B2", "#7F7F7F"
"""Colours of a difference that is shown and of one that is not."""
READING = (
    "Declared before the seeds ran. Lines: 95 % intervals over seeds and users or queries.",
    "Band: the margin within which two methods are called equal.",
)


def draw_primary(board: Leaderboard, out: Path, name: str = NAME) -> list[Path]:
    """Draws the primary contrasts of a board into the directory `out`.

    Returns:
        the files; none where the setting declares nothing or nothing of it was tested.
    """
    decided = board.family.decided
    figure = None if decided is None else primary_contrasts(decided)
    if decided is None or figure is None:
        return []
    seeds = {seed for each in decided.decisions if each.tested for seed in each.tested.seeds}
    title = f"Primary contrasts · {board.setting.name} · {named_seeds(sorted(seeds))}"
    return save([figure], out, name, [title, *READING], 1)


def primary_contrasts(decided: Decided) -> Figure | None:
    """A line for each contrast that was tested, in the order declared; None where none was.

    Args:
        decided: the contrasts; those without a seed of both methods are left out.
    """
    spec = decided.spec
    rows: Rows = []
    told = []
    for each in decided.decisions:
        if each.tested is None:
            continue
        found = each.tested.estimate
        low, high = (found.mean if end is None else end for end in (found.low, found.high))
        rows.append(
            {
                "place": len(rows) + 0.5,
                "mean": found.mean,
                "low": low,
                "high": high,
                "pair": f"{each.contrast.a} − {each.contrast.b}",
                "claim": each.contrast.claim,
                "verdict": decision_word(each, spec.margin),
                "figures": f"{signed(found.mean)} {interval(found, with_sign=True)}",
                "color": SHOWN if each.verdict in ("better", "worse") else OPEN,
            }
        )
        told.append(f"{pair_of(each)}: {decision_told(each, spec.margin)}")
    if not rows:
        return None
    ends = [float(row[end]) for row in rows for end in ("low", "high")]
    x = Scale(_axis(decided), write=TICK)
    x_ends = x.ends([*ends, -spec.margin, spec.margin, 0.0])
    words = max(len(str(row[text])) for row in rows for text in ("pair", "claim"))
    right = max(len(str(row[text])) for row in rows for text in ("verdict", "figures"))
    return Figure(
        f"Primary contrasts by {spec.outcome}",
        f"{'. '.join(told)}. The band is the margin of equivalence, {within(spec.margin)}.",
        layered(_layers(x, x_ends, spec.margin, len(rows)), WIDTH, HIGH * len(rows), NAME),
        (words * CHARACTER + GAP, 8.0, right * CHARACTER + GAP, 40.0),
        {NAME: rows},
    )


def _axis(decided: Decided) -> str:
    """What is drawn, on which queries where all contrasts are on the same, and which way is up."""
    spec = decided.spec
    places = {each.on for each in spec.contrasts}
    (where,) = places if len(places) == 1 else ((),)
    on = f" on {' and '.join(where)}" if where else ""
    way = "less" if is_loss(spec.outcome) else "more"
    return f"difference in test {spec.outcome}{on}; {way} is better for the first"


def _layers(x: Scale, ends: tuple[float, float], margin: float, count: int) -> list[alt.UnitSpec]:
    """Band, zero, intervals and words."""
    across, high = x.channel(ends), HIGH * count
    up: dict[str, Any] = {
        "type": "quantitative",
        "axis": None,
        "scale": alt.Scale(domain=[count, 0], nice=False),
    }
    line: Channels = {"y": alt.Y(field="place", **up)}
    tall: Channels = {"y": alt.value(0), "y2": alt.value(high)}
    once = [{"low": -margin, "high": margin, "zero": 0.0}]
    colored = {"stroke": as_is(alt.Stroke, "color")}
    return [
        layer(
            "margin",
            "rect",
            tall | {"x": alt.X(field="low", **across), "x2": alt.X2(field="high")},
            rows=once,
            style={"color": FAINT, "opacity": 0.6},
        ),
        layer(
            "zero",
            "rule",
            tall | {"x": alt.X(field="zero", **across)},
            rows=once,
            style={"color": SOFT},
        ),
        layer(
            "interval",
            "rule",
            line | colored | {"x": alt.X(field="low", **across), "x2": alt.X2(field="high")},
            style={"strokeWidth": 2},
        ),
        layer(
            "point",
            "point",
            line | {"x": alt.X(field="mean", **across), "fill": as_is(alt.Fill, "color")},
            style={"filled": True, "opacity": 1, "size": 60},
        ),
        _words("pair", line, -GAP, INK, -7, "right"),
        _words("claim", line, -GAP, SOFT, 8, "right"),
        _words("verdict", line, WIDTH + GAP, INK, -7, "left"),
        _words("figures", line, WIDTH + GAP, SOFT, 8, "left"),
    ]


def _words(field: str, line: Channels, x: float, color: str, dy: float, align: str) -> alt.UnitSpec:
    """The words of a field beside the plot."""
    text = line | {"x": alt.value(x), "text": alt.Text(field=field, type="nominal")}
    return layer(field, "text", text, style={"align": align, "color": color, "dy": dy})
