"""Charts into pages: inline SVG whose colours are variables, each method in a group of its own.

The page's style sheet gives the variables a value for each theme, and says by class how a method
stands out. Nothing needs a script to be read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup

from leaderboard.board.method_rows import BASE
from leaderboard.figures.intervals import number, tag
from leaderboard.figures.render import PICTURE, Figure, svg_of
from leaderboard.figures.theme import FOR_THE_PAGE, VARIABLES

NARROW = 8.0
"""What is shown right of a plot on a screen too narrow for the names there."""
ROLES = {"role-axis-grid": "grid", "role-axis-label": "tick", "role-axis-title": "axis"}
KEPT = (
    *("d", "x2", "y2", "width", "height", "text-anchor", "preserveAspectRatio", "style"),
    *("fill", "stroke", "stroke-width", "stroke-dasharray", "opacity"),
)
"""What is kept of a mark; its class, its place and the page's style sheet say the rest."""
NEEDLESS = {("opacity", "1"), ("stroke-dasharray", "1,0")}
CIRCLE = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0")
HREF = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Mark:
    """One mark of a chart: its place, its class, and its method if it is one's."""

    element: Element
    x: float
    y: float
    kind: str
    method: str | None


@dataclass(frozen=True)
class Drawing:
    """A figure as the page shows it.

    Args:
        html: the figure.
        samples: method → a small drawing of its look, for a list.
    """

    html: Markup
    samples: dict[str, Markup]

    def __html__(self) -> str:
        """The figure, where a template names the drawing."""
        return self.html


def draw(figure: Figure, address: str = "") -> Drawing:
    """`figure` for the page; its picture, if it has one, lies at `address`."""
    left, top, right, bottom = figure.margins
    content = {
        **figure.chart,
        "autosize": {"type": "none"},
        "padding": {"left": left, "top": top, "right": right, "bottom": bottom},
        "datasets": figure.data,
    }
    svg = svg_of(content, FOR_THE_PAGE).replace(' xmlns="http://www.w3.org/2000/svg"', "")
    root = ElementTree.fromstring(svg.replace(PICTURE, address))
    marks = list(_marks(root, 0.0, 0.0, ""))
    drawn = tag(
        "svg",
        tag("desc", figure.description),
        *_grouped(marks),
        class_="figure" if figure.picture is None else "matrix",
        role="img",
        aria_label=f"{figure.name}. {figure.description}",
        viewBox=root.attrib["viewBox"],
        fill="none",
        style=f"--width: {root.attrib['width']}px",
    )
    samples = {
        mark.method: _sample(mark)
        for mark in reversed(marks)
        if mark.method is not None and mark.kind in ("sample", "sign")
    }
    if not any(mark.kind == "sample" for mark in marks):
        return Drawing(drawn, samples)
    # The figure's description names them all already.
    listed = tag("ul", *_listed(marks, samples), class_="legend narrow", aria_hidden="true")
    width = float(root.attrib["width"])
    style = f"--share: {number(width / (width - right + NARROW))}"
    return Drawing(tag("div", drawn, listed, class_="plot", style=style), samples)


def _marks(element: Element, x: float, y: float, kind: str) -> Iterator[Mark]:
    """The marks below `element`, whose own place is (x, y), in the order they are drawn in."""
    for child in element:
        classes = child.get("class", "").split()
        if {"background", "foreground"} & set(classes):
            continue
        shift = re.fullmatch(r"translate\(([^,]+),([^)]+)\)", child.get("transform", ""))
        at = (x + float(shift[1]), y + float(shift[2])) if shift else (x, y)
        if child.tag == "g":
            yield from _marks(child, *at, _kind(classes) or kind)
        else:
            yield Mark(child, *at, kind, child.get("aria-label"))


def _kind(classes: Sequence[str]) -> str:
    """The class of a group's marks: an axis's part, or a layer's name up to an underscore."""
    found = [ROLES[each] for each in classes if each in ROLES]
    found += [each.partition("_")[0] for each in classes if each.endswith("_marks")]
    return found[0] if found else ""


def _grouped(marks: Sequence[Mark]) -> list[Markup]:
    """The marks, those of one method together and the reference's above all other methods'."""
    methods = list(dict.fromkeys(mark.method for mark in marks if mark.method is not None))
    first = next((place for place, mark in enumerate(marks) if mark.method is not None), len(marks))
    return [
        *(_shown(mark) for mark in marks[:first]),
        *(_series(key, marks) for key in sorted(methods, key=lambda key: key == BASE)),
        *(_shown(mark) for mark in marks[first:] if mark.method is None),
    ]


def _series(key: str, marks: Sequence[Mark]) -> Markup:
    """What is drawn of method `key`, under its name, so that a filter finds it."""
    own = [mark for mark in marks if mark.method == key]
    named = any(mark.kind == "name" for mark in own)
    title = [] if named else [tag("title", key)]
    base = " base" if key == BASE else ""
    return tag("g", *title, *map(_shown, own), class_=f"series{base}", data_method=key)


def _shown(mark: Mark, *, placed: bool = True) -> Markup:
    """A mark with its class, in the page's colours; at its place, or where it stands alone."""
    kept = {}
    for key in KEPT:
        value = mark.element.get(key)
        if value is None or (key, value) in NEEDLESS or (mark.element.tag, key) == ("text", "fill"):
            continue
        if key in ("fill", "stroke"):
            variable = VARIABLES.get(value.lower())
            value = f"var({variable})" if variable else value
        kept[key] = re.sub(r"(\.\d\d)\d+", r"\1", value)
    shape = CIRCLE.fullmatch(kept.get("d", ""))
    if shape:
        del kept["d"]
        kept["r"] = shape[1]
    if HREF in mark.element.attrib:
        kept["href"] = mark.element.attrib[HREF]
    if placed and (mark.x or mark.y):
        kept["transform"] = f"translate({number(mark.x)},{number(mark.y)})"
    name = "circle" if shape else mark.element.tag
    return tag(name, mark.element.text or "", class_=mark.kind, **kept)


def _sample(mark: Mark) -> Markup:
    """A mark as a drawing of its own, for a list; its name stands beside it."""
    left = 0 if mark.element.tag == "line" else -7
    return tag(
        "svg",
        _shown(mark, placed=False),
        class_="legend-sign",
        viewBox=f"{left} -7 14 14",
        aria_hidden="true",
    )


def _listed(marks: Sequence[Mark], samples: dict[str, Markup]) -> list[Markup]:
    """An entry for each name in a figure, the reference's first."""
    return [
        tag("li", samples[mark.method], " ", mark.element.text or "", data_method=mark.method)
        for mark in sorted(marks, key=lambda mark: mark.method != BASE)
        if mark.kind == "name" and mark.method is not None
    ]
