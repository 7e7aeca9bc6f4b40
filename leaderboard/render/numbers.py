"""How figures are written: `.0402` for scores, `+.0021` for differences, `p < .001`, hours."""

from leaderboard.statistics.crossed import Estimate

NOTHING = "–"
"""Stands for what is undefined or unknown."""


def score(value: float | None, digits: int = 4) -> str:
    """A share without its leading zero: .0402, 1.0000, -.0021."""
    if value is None:
        return NOTHING
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def signed(value: float | None, digits: int = 4) -> str:
    """A difference with its sign: +.0021, -.0050."""
    if value is None:
        return NOTHING
    text = score(value, digits)
    return text if text.startswith("-") else f"+{text}"


def interval(found: Estimate | None, with_sign: bool = False) -> str:
    """[.0371, .0431]."""
    if found is None or found.low is None or found.high is None:
        return NOTHING
    write = signed if with_sign else score
    return f"[{write(found.low)}, {write(found.high)}]"


def p_value(p: float | None) -> str:
    """`.55`, `.013`, `< .001`."""
    if p is None:
        return NOTHING
    if p < 0.001:
        return "< .001"
    return score(p, 3 if p < 0.1 else 2)


def plain(value: float | None, digits: int = 2) -> str:
    """A number with fixed decimals, such as an effective rank."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """`48 s`, `3.2 min`, `1.5 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"


def flops(value: float | None) -> str:
    """`12.3 T`, `4.56 P`: FLOPs with a prefix, three digits."""
    if value is None:
        return NOTHING
    for exponent, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if value >= 10**exponent:
            return f"{value / 10**exponent:.3g} {prefix}"
    return f"{value:.3g}"


STAGE_NAMES = {"init": "initialization", "grounding": "after grounding", "sft": "after SFT"}
