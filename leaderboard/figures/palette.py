"""How methods look: one colour, dash and sign per method, the same in every figure.

Which one, a method's card says. Colours are Okabe and Ito's (2008), told apart by the colour-blind.
There are eight, so methods beyond `core` repeat them with another dash and sign.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leaderboard.records.cells import Cell
from leaderboard.records.known_methods import looks_of, order_of
from leaderboard.records.record import MethodCard

COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#7F7F7F",
}
"""Name, also of the page's variable → colour in files."""
DASHES = ((1.0, 0.0), (7.0, 3.0), (1.5, 3.0), (7.0, 3.0, 1.5, 3.0))
"""Lengths of stroke and gap in turn; the first is a whole line."""
SIGNS = ("circle", "square", "triangle-up", "diamond")


@dataclass(frozen=True)
class Appearance:
    """How a method is drawn: `dash` of its lines, `sign` of its points."""

    color: str
    dash: tuple[float, ...]
    sign: str


class Palette:
    """How the methods of a board are drawn and in which order, as their cards have it.

    Args:
        cards: of the methods; of two with one key the first counts.
    """

    def __init__(self, cards: Iterable[MethodCard]) -> None:
        known: dict[str, MethodCard] = {}
        for card in cards:
            known.setdefault(card.key, card)
        found = looks_of(known.values())
        self._looks = {
            card.key: look(found[card.key].color, found[card.key].pattern)
            for card in sorted(known.values(), key=order_of)
        }

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> "Palette":
        """The palette of the methods that `cells` are of."""
        return cls(cell.record.method for cell in cells if cell.record.kind == "cell")

    def look(self, key: str) -> Appearance:
        """How method `key` is drawn: unlike all others, as long as there are enough looks."""
        return self._looks[key]

    def ordered(self, keys: Iterable[str]) -> list[str]:
        """`keys` as figures and legends show them."""
        places = {key: place for place, key in enumerate(self._looks)}
        return sorted(keys, key=places.__getitem__)


def look(color: str, pattern: int) -> Appearance:
    """The look of a colour's name and the number of a pattern."""
    return Appearance(COLORS[color], DASHES[pattern], SIGNS[pattern])
