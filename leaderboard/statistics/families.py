"""Primary tests first, all others behind them: serial gatekeeping.

A setting declares a few primary contrasts. Everything else is secondary and is claimed only where
*every* primary one is rejected, so that the chance of any false claim, primary or secondary, stays
at the level (Westfall and Krishen 2001, J. Stat. Plan. Inference 99, 25-40).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from leaderboard.statistics.corrections import LEVEL, holm

Rule = Literal["fixed order", "holm"]


@dataclass(frozen=True)
class Gatekept:
    """Corrected p-values of two families.

    Args:
        primary: in the order declared.
        secondary: in the order given; all None, not claimed, where the gate is shut.
        open: whether every primary test rejects.
    """

    primary: tuple[float | None, ...]
    secondary: tuple[float | None, ...]
    open: bool


def fixed_order(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values of tests made one after the other, each at the whole level.

    The first that does not reject ends the sequence. One that could not be tested does not reject:
    it stays None, and those after it are 1.
    """
    largest = accumulate((1.0 if p is None else p for p in p_values), max)
    return [None if p is None else most for p, most in zip(p_values, largest, strict=True)]


def gatekeep(
    primary: Sequence[float | None],
    secondary: Sequence[float | None],
    rule: Rule = "fixed order",
    level: float = LEVEL,
) -> Gatekept:
    """Corrects `primary` by `rule` and, behind all of them, `secondary` by Holm's.

    A primary p of None (no records, nothing varies) is not rejected and keeps the gate shut.

    Raises:
        ValueError: no primary test.
    """
    if not primary:
        raise ValueError("no primary test is declared: nothing can stand behind it; use holm")
    first = fixed_order(primary) if rule == "fixed order" else holm(primary)
    gate = max(1.0 if p is None else p for p in first)
    if gate >= level:
        return Gatekept(tuple(first), (None,) * len(secondary), open=False)
    behind = (None if p is None else max(p, gate) for p in holm(secondary))
    return Gatekept(tuple(first), tuple(behind), open=True)
