"""How methods look: one colour, dash and sign per method, the same in every figure.

Colours are Okabe and Ito's (2008), told apart by the colour-blind. There are eight, so methods
beyond `core` repeat them with another dash and sign.
"""

import hashlib
from dataclasses import dataclass

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
class Look:
    """How a method is drawn: `dash` of its lines, `sign` of its points."""

    color: str
    dash: tuple[float, ...]
    sign: str


_KNOWN = {
    "mean": ("black", 0),
    "random": ("orange", 0),
    "gti": ("blue", 0),
    "lc_rec": ("green", 0),
    "gti_lc_rec": ("sky", 0),
    "mean_matched": ("grey", 0),
    "random_matched": ("orange", 1),
    "hf_default": ("purple", 0),
    "gaussian": ("orange", 2),
    "description": ("vermilion", 0),
    "keywords": ("vermilion", 1),
    "codebook": ("purple", 1),
    "gti_text_to_sid": ("blue", 1),
    "gti_sid_to_text": ("blue", 2),
    "gti_from_description": ("vermilion", 2),
    "gti_shuffled": ("sky", 1),
    "gti_two_phase": ("blue", 3),
    "mean_two_phase": ("black", 1),
}
"""Method → colour and pattern; variants of one idea share its colour."""


def method_look(key: str) -> Look:
    """How method `key` is drawn, which depends on nothing but its name."""
    if key in _KNOWN:
        color, pattern = _KNOWN[key]
    else:
        byte = hashlib.sha256(key.encode()).digest()[0]
        color, pattern = list(COLORS)[byte % len(COLORS)], 1 + (byte // len(COLORS)) % 3
    return look(color, pattern)


def look(color: str, pattern: int) -> Look:
    """The look of a colour's name and the number of a pattern."""
    return Look(COLORS[color], DASHES[pattern], SIGNS[pattern])


def method_order(key: str) -> tuple[int, str]:
    """Sorts methods as the palette lists them, others after by name."""
    names = list(_KNOWN)
    return (names.index(key) if key in names else len(names), key)
