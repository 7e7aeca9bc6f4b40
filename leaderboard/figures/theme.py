"""The look that all charts share: colours, type and axes, and what the page calls its colours."""

from collections.abc import Callable
from typing import Any, TypeVar

import altair as alt

from leaderboard.figures.palette import COLORS

INK, SOFT, FAINT, BACK = "#16191d", "#535b64", "#d9dde1", "#ffffff"
VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    FAINT: "--line",
    BACK: "--back",
    **{color.lower(): f"--{name}" for name, color in COLORS.items()},
}
"""Colour of a file → variable of the page's style sheet, which has one value for each theme."""

CHARACTER = 6.9
"""Width of a character in pixels, whatever the font; an upper estimate."""
LINE = 14.0
"""Least distance of two labels, in pixels."""

Channel = TypeVar("Channel")


def as_is(channel: Callable[..., Channel], name: str) -> Channel:
    """A channel that takes the value of a row's field as it is."""
    return channel(field=name, type="nominal", scale=None)


METHOD: dict[str, Any] = {"description": alt.Description(field="method", type="nominal")}
"""Tells whose a mark is: to screen readers in a file, to the page's filter on a page."""

_LOOK: dict[str, Any] = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "domain": False,
        "ticks": False,
        "grid": True,
        "gridColor": FAINT,
        "gridWidth": 0.7,
        "labelColor": SOFT,
        "titleColor": SOFT,
        "labelPadding": 5,
        "titlePadding": 5,
        "labelFlush": False,
        "labelLimit": 0,
        "titleLimit": 0,
    },
    "axisY": {
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleAngle": 0,
        "titleBaseline": "alphabetic",
        "titleX": -44,
        "titleY": -12,
    },
}
FOR_FILES = {
    **_LOOK,
    "background": BACK,
    "padding": 12,
    "title": {
        "anchor": "start",
        "color": INK,
        "fontSize": 12,
        "fontWeight": "normal",
        "frame": "group",
        "limit": 0,
        "offset": 8,
        "subtitleColor": SOFT,
        "subtitleFontSize": 11,
    },
}
FOR_THE_PAGE = {**_LOOK, "background": None}
