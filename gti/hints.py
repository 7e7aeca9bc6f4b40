"""The nearest name to one that nobody knows, for error messages."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], *, least: float = 0.6) -> str:
    """`; did you mean 'gti'?`, or nothing where no name of `known` is like `name`.

    Args:
        name: what was asked for.
        known: what there is.
        least: how alike two names must be, 0 to 1 (`difflib.get_close_matches`).
    """
    near = get_close_matches(name, list(known), n=1, cutoff=least)
    return f"; did you mean {near[0]!r}?" if near else ""
