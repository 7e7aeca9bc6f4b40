"""May two methods be compared at all? Treated as they say, computed alike, trained enough."""

from collections.abc import Sequence

from leaderboard.board.alike import differences
from leaderboard.board.method_rows import FLOOR, under_trained
from leaderboard.board.treatment import Taken, treatment_of
from leaderboard.records.cells import Cell
from leaderboard.records.record import Record

ONE_SEED = "one seed"
"""Why a contrast has no verdict where the two methods share a single seed."""


class Checks:
    """What the records of a setting say of the methods before any outcome is looked at.

    Attributes:
        records: method → seed → its record; references are left out.
        taken: method with a stage of grounding → whether that took.
        weak: methods that lie below popularity at some seed.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        """Judges every method among `cells`, which are of one setting."""
        self.records: dict[str, dict[int, Record]] = {}
        for cell in cells:
            if cell.record.kind == "cell":
                own = self.records.setdefault(cell.record.method.key, {})
                own[cell.record.seed] = cell.record
        floor = [cell for cell in cells if cell.record.method.key == FLOOR] or None
        listed = {key: list(own.values()) for key, own in self.records.items()}
        self.weak = {key for key, own in listed.items() if under_trained(own, floor)}
        self.taken: dict[str, Taken] = {
            key: found for key, own in listed.items() if (found := treatment_of(own)) is not None
        }
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def obstacles(self, a: str, b: str) -> tuple[str, ...]:
        """Why the two have no verdict: a treatment that did not take, or what else differs."""
        if (a, b) not in self._known:
            found = [told for key in (a, b) if (told := self._untreated(key)) is not None]
            one, other = self.records[a], self.records[b]
            if seeds := sorted(one.keys() & other.keys()):
                found += differences([one[s] for s in seeds], [other[s] for s in seeds])
            self._known[a, b] = tuple(found)
        return self._known[a, b]

    def _untreated(self, key: str) -> str | None:
        """What is wrong with the treatment of method `key`, if it needs one."""
        state = self.taken[key].state if key in self.taken else "took"
        return {
            "did not take": f"grounding of {key} did not take",
            "not measured": f"treatment of {key} was not measured",
        }.get(state)

    def too_little(self, a: str, b: str, num_seeds: int) -> tuple[str, ...]:
        """Why a contrast of the two has no verdict though they are treated and alike."""
        weak = [f"{key} under-trained" for key in (a, b) if key in self.weak]
        return (*weak, *([ONE_SEED] if num_seeds == 1 else []))
