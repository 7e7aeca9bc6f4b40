"""How a method looks on the page: the colour and dash that `leaderboard.palette` gives it."""

from markupsafe import Markup

from leaderboard.palette import COLORS, method_look
from leaderboard.site.svg import tag

DASHES = {"-": None, "--": "7 3", ":": "1.5 3", "-.": "7 3 1.5 3"}
NAMES = {color: name for name, color in COLORS.items()}


def series(key: str, *parts: Markup) -> Markup:
    """What is drawn of method `key`, in its colour, under its name, so that a filter finds it."""
    color = NAMES[method_look(key).color]
    return tag("g", *parts, class_=f"series c-{color}", data_method=key)


def dash_of(key: str) -> str | None:
    """The dashes of the method's line; None for a whole one."""
    return DASHES[method_look(key).line]
