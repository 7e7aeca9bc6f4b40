"""How figures look: one colour, line and hatch per method, the same on every figure.

Colours are Okabe and Ito's (2008), told apart by the colour-blind. There are eight, so methods
beyond `core` repeat them with another line and hatch.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

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
LINES = ("-", "--", ":", "-.")
HATCHES = ("", "///", "...", "xxx")


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    color: str
    line: str
    hatch: str


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


STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "hatch.linewidth": 0.6,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "svg.hashsalt": "gti-bench",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
}


def method_look(key: str) -> Look:
    """How method `key` is drawn, which depends on nothing but its name."""
    if key in _KNOWN:
        color, pattern = _KNOWN[key]
    else:
        byte = hashlib.sha256(key.encode()).digest()[0]
        color, pattern = list(COLORS)[byte % len(COLORS)], 1 + (byte // len(COLORS)) % 3
    return Look(COLORS[color], LINES[pattern], HATCHES[pattern])


def method_order(key: str) -> tuple[int, str]:
    """Sorts methods as the palette lists them, others after by name."""
    names = list(_KNOWN)
    return (names.index(key) if key in names else len(names), key)
