"""What a worker process is asked to do: one JSON line on its input."""

from pathlib import Path

from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.specs import Frozen
from leaderboard.records.trial import TrialName


class Job(Frozen):
    """One cell, or one trial of `gti-bench tune`, and how it is run.

    Attributes:
        setting: what is held fixed.
        method: its key.
        parameters: what the method has of its own.
        seed: the seed of all streams.
        results: where the record goes.
        device: "auto", "cpu" or "cuda".
        offline: touch no network.
        plain: run the slow reference everywhere.
        debug: print full traces.
        semantic_ids: file of those to use; null: as any run finds them.
        trial: which trial it is; null: a cell.
        checkpoint_seconds: from one checkpoint to the next within a stage; null: as by default.
    """

    setting: Setting
    method: str
    parameters: MethodParameters
    seed: int
    results: Path
    device: str
    offline: bool = False
    plain: bool = False
    debug: bool = False
    semantic_ids: Path | None = None
    trial: TrialName | None = None
    checkpoint_seconds: float | None = None
