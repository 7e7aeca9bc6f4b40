"""What files say that must be alike in all of them: those are named that do not say it."""

import math
from pathlib import Path
from typing import Any

from leaderboard.verify.findings import Finding, Report, shown


class Said:
    """What records say that must be alike in all of them, by the field and what it hangs on."""

    def __init__(self) -> None:
        self._values: dict[tuple[Any, ...], list[tuple[Path, Any]]] = {}

    def note(self, path: Path, field: str, hangs_on: tuple[Any, ...], value: Any) -> None:
        """Notes that the record at `path` says `value`."""
        self._values.setdefault((field, *hangs_on), []).append((path, value))

    def compare(self, findings: list[Finding]) -> None:
        """Names the records that do not say what most say; where as many say either, the later."""
        for (field, *_), values in self._values.items():
            groups: list[list[tuple[Path, Any]]] = []
            for each in values:
                fits = [group for group in groups if is_alike(each[1], group[0][1])]
                if fits:
                    fits[0].append(each)
                else:
                    groups.append([each])
            usual = max(groups, key=len)
            for group in groups:
                if group is usual:
                    continue
                tie = ", and as many say either" if len(group) == len(usual) else ""
                wanted = (
                    f"{shown(usual[0][1])}, as in {usual[0][0]} ({len(usual)} of {len(values)}"
                    f" records{tie})"
                )
                for path, value in group:
                    Report(str(path), findings).error(field, value, wanted)


def is_alike(value: Any, known: Any) -> bool:
    """Whether two values are equal, floats up to rounding."""
    if isinstance(value, float) and isinstance(known, float):
        exact = max(abs(value), abs(known)) > 1e6  # FLOPs, which are sums of whole numbers
        return math.isclose(value, known, rel_tol=1e-12 if exact else 1e-5)
    return bool(value == known)
