"""How a method looks on the page: the colour and dash that `palette` gives it."""

from markupsafe import Markup

from leaderboard.board.method_rows import BASE
from leaderboard.figures.palette import COLORS, method_look
from leaderboard.figures.svg import tag

DASHES = {"-": None, "--": "7 3", ":": "1.5 3", "-.": "7 3 1.5 3"}
NAMES = {color: name for name, color in COLORS.items()}


def series(key: str, *parts: Markup) -> Markup:
    """What is drawn of method `key`, in its colour, under its name, so that a filter finds it.

    The reference that all are compared with is marked `base`.
    """
    color = NAMES[method_look(key).color]
    base = " base" if key == BASE else ""
    return tag("g", *parts, class_=f"series c-{color}{base}", data_method=key)


def dash_of(key: str) -> str | None:
    """The dashes of the method's line; None for a whole one."""
    return DASHES[method_look(key).line]


def drawn_sample(key: str, left: float, middle: float, dot: bool = False) -> Markup:
    """A short piece of the method's line, or a dot, beside its name."""
    if dot:
        return tag("circle", class_="point", cx=left + 7, cy=middle, r=3.4)
    return tag(
        "line",
        class_="sample",
        x1=left,
        x2=left + 14,
        y1=middle,
        y2=middle,
        stroke_dasharray=dash_of(key),
    )


def sample(key: str) -> Markup:
    """The same as a drawing of its own, for a list; its name stands beside it."""
    return tag(
        "svg",
        series(key, drawn_sample(key, 0, 7)),
        class_="legend-sign",
        viewBox="0 0 14 14",
        aria_hidden="true",
    )
