"""A trial of `gti-bench tune`: one cell, and what it leaves.

A trial is a setting (`setting_of_trials`), a method with the rate tried among its own parameters,
and a tuning seed: its identity is the hash of that cell, so that a rate tried once need not be
tried again. A trial whose training diverged is a trial too: its score is null and it says so.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.cell.identity import method_card
from benchmarks.cell.job import Job
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell, State
from gti.method import Method
from leaderboard.records.record import RecordError, cell_hash
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.trial import TrialName, read_trial, setting_of_trials, trial_path
from leaderboard.render.numbers import score


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
        name: stage, and place of the rate in the setting's list.
    """

    name: TrialName

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.card.key} {self.name.stage} {self.name.number} seed {self.seed}"

    def job(self, options: RunOptions) -> Job:
        """What a worker is asked to do."""
        return super().job(options).model_copy(update={"trial": self.name})

    def state_now(self, *, plain: bool) -> State:
        """The state of what lies in its place by now; no trial is plain."""
        return trial_state(self.path, cell_hash(self.setting.hash, self.card.hash, self.seed))

    def headline(self) -> str:
        """What to say once it is written."""
        trial = read_trial(self.path)
        return "diverged" if trial.score is None else f"{trial.metric} {score(trial.score)}"


def plan_trial(
    setting: Setting,
    method: Method,
    parameters: MethodParameters,
    seed: int,
    name: TrialName,
    results: Path,
) -> PlannedTrial:
    """The trial of `method` with `parameters`, and whether it was run already."""
    own, card = setting_of_trials(setting), method_card(method, parameters)
    path = trial_path(results, setting.name, card.key, name, seed)
    state = trial_state(path, cell_hash(own.hash, card.hash, seed))
    return PlannedTrial(own, card, seed, path, state, name)
