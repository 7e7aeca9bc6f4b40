"""A cell's life in stages: what each took, as a table after a run."""

import time
from collections.abc import Callable, Mapping, Sequence

from leaderboard.render.table import Column, Table
from leaderboard.render.writers import terminal

NAMES = {
    "start": "start-up (process, imports)",
    "data": "data and Semantic IDs, read",
    "load": "backbone, prompts, budget",
    "init": "initialization",
    "grounding": "grounding",
    "grounding_free": "grounding, all weights",
    "treatment": "checks of grounding",
    "sft": "SFT",
    "curve": "validation in SFT",
    "score": "scoring",
    "retention": "plain English, before and after",
    "diagnose": "diagnostics",
    "checkpoint": "checkpoints",
    "save": "saving",
}
"""Stage in a worker's events → what people call it, in order of a cell's life."""

Enter = Callable[[str], None]
"""Told the name of the stage that begins."""


def ignore_stage(stage: str) -> None:
    """A stage callback that does nothing."""


class StageClock:
    """Seconds per stage; a stage that comes again goes on where it was left.

    Args:
        stage: the first one, which begins now.
    """

    def __init__(self, stage: str = "start") -> None:
        self.seconds: dict[str, float] = {}
        self.stage, self.since = stage, time.monotonic()

    def enter(self, stage: str) -> None:
        """Ends the stage that runs and begins `stage`."""
        now = time.monotonic()
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self.since
        self.stage, self.since = stage, now

    def close(self) -> dict[str, float]:
        """Seconds per stage, the last one ended now."""
        self.enter(self.stage)
        return dict(self.seconds)


def stage_table(cells: Sequence[Mapping[str, float]], once: Mapping[str, float]) -> str:
    """Mean seconds and share of each stage of `cells`; under it what was done once for all.

    Args:
        cells: stage → seconds, of each finished cell.
        once: name → seconds.
    """
    names = dict.fromkeys([*NAMES, *(stage for cell in cells for stage in cell)])
    means = {name: sum(cell.get(name, 0.0) for cell in cells) / len(cells) for name in names}
    total = sum(means.values())
    rows = [
        (NAMES.get(name, name), f"{seconds:.1f}", f"{seconds / total:.1%}" if total else "–")
        for name, seconds in means.items()
        if any(name in cell for cell in cells)
    ]
    rows.append(("a cell", f"{total:.1f}", ""))
    rows += [(f"once for all: {name}", f"{seconds:.1f}", "") for name, seconds in once.items()]
    stage = Column("stage", f"stage, mean of {len(cells)}" if len(cells) > 1 else "stage", "words")
    columns = (stage, Column("seconds", "seconds"), Column("share", "share"))
    return terminal(Table.of_texts(columns, rows))
