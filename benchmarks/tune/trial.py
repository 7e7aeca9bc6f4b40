"""One trial of `gti-bench tune`: a cell that is scored on validation alone, and what it leaves.

    <results>/tuning/<setting>/<method>/trial-<n>.json            written last: commit mark
    <results>/tuning/<setting>/<method>/trial-<n>.ranks.parquet   validation ranks, as in a record

A trial is a setting, a method with its own parameters (the point tried) and the tuning seed: its
identity is the hash of that cell, so a point that was tried once need not be tried again. A trial
whose training diverged is a trial too: its score is null and it says so.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.cell.job import Job
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell, State, headline
from leaderboard.records.record import MethodCard, RecordError, cell_hash
from leaderboard.records.setting import Setting
from leaderboard.records.trial import read_trial, trial_path


def trial_state(path: Path, expected_hash: str) -> State:
    """Whether the trial at `path` is the cell of hash `expected_hash`."""
    if not path.exists():
        return "missing"
    try:
        trial = read_trial(path)
    except RecordError:
        return "damaged"
    return "done" if trial.cell_hash == expected_hash else "other"


@dataclass(frozen=True)
class PlannedTrial(PlannedCell):
    """A cell that is a trial.

    Attributes:
        number: of the trial, from 1; equal numbers of two methods share the SFT rate.
    """

    number: int

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.card.key} trial {self.number}"

    def job(self, options: RunOptions) -> Job:
        """What a worker is asked to do."""
        return super().job(options).model_copy(update={"trial": self.number})

    def headline(self) -> str:
        """What to say once it is written."""
        trial = read_trial(self.path)
        return "diverged" if trial.metrics is None else f"validation {headline(trial.metrics)}"


def plan_trial(
    setting: Setting, card: MethodCard, seed: int, number: int, results: Path
) -> PlannedTrial:
    """The trial of `card` (its parameters are the point) and whether it was run already."""
    path = trial_path(results, setting.name, card.key, number)
    state = trial_state(path, cell_hash(setting.hash, card.hash, seed))
    return PlannedTrial(setting, card, seed, path, state, number)
