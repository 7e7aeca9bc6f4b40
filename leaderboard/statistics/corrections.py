"""Many methods at once: Holm's correction and letters for groups that no test tells apart."""

import string
from collections.abc import Iterable, Sequence

LEVEL = 0.05


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) step-down adjusted p-values, in the order given; None stays None, uncounted."""
    order = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, place) in enumerate(order):
        running = max(running, min(1.0, p * (len(order) - rank)))
        adjusted[place] = running
    return adjusted


def tie_letters(names: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Letters such that two names share one exactly where their pair is not in `different`.

    Insert-and-absorb (Piepho 2004, An algorithm for a letter-based representation of all-pairwise
    comparisons).

    Args:
        names: best first; the letter `a` goes to the group of the best.
        different: pairs that a test tells apart, in either order.
    """
    place = {name: index for index, name in enumerate(names)}
    groups: list[frozenset[str]] = [frozenset(names)]
    for left, right in different:
        split: list[frozenset[str]] = []
        for group in groups:
            whole = not (left in group and right in group)
            split += [group] if whole else [group - {left}, group - {right}]
        groups = [
            group
            for index, group in enumerate(split)
            if not any(
                group < other or (group == other and index > earlier)
                for earlier, other in enumerate(split)
            )
        ]
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    return {
        name: "".join(_letter(index) for index, group in enumerate(groups) if name in group)
        for name in names
    }


def _letter(index: int) -> str:
    """The letter of group `index`: a to z, then (26), (27) and so on."""
    return string.ascii_lowercase[index] if index < 26 else f"({index})"
