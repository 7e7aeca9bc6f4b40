"""One trial of `gti-bench tune`: a cell that is scored on validation alone, and what it leaves.

    <results>/tuning/<setting>/<method>/trial-<n>.json            written last: commit mark
    <results>/tuning/<setting>/<method>/trial-<n>.ranks.parquet   validation ranks, as in a record

A trial is a setting, a method with its own parameters (the point tried) and the tuning seed: its
identity is the hash of that cell, so a point that was tried once need not be tried again. A trial
whose training diverged is a trial too: its score is null and it says so.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environment import describe_code, describe_environment
from benchmarks.plan import PlannedCell, State, headline
from benchmarks.saving import identity, inputs_of, method_card
from leaderboard.metrics import MAIN_METRIC, metrics, num_users, relevance_of
from leaderboard.ranks import Ranks, write_ranks
from leaderboard.record import (
    PROTOCOL_VERSION,
    MethodCard,
    RecordError,
    cell_hash,
    ranks_path,
)
from leaderboard.setting import MethodParameters, Setting
from leaderboard.trial import TRIAL_SCHEMA_VERSION, read_trial, trial_path, write_trial

if TYPE_CHECKING:
    from benchmarks.cell import CellRun


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

    def job(self) -> dict[str, Any]:
        """What a worker must know of it."""
        return {**super().job(), "trial": self.number}

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


def run_trial(
    number: int,
    setting: Setting,
    parameters: MethodParameters,
    method: Any,
    seed: int,
    inputs: Any,
    results: Path,
    device: Any,
    *,
    offline: bool = False,
    report: Any,
) -> Path:
    """Runs one trial (see `benchmarks.cell.run_cell`) and writes it; returns its path."""
    from benchmarks.cell import CellRun
    from gti.training import DivergedError

    began = time.perf_counter()
    run = CellRun(setting, parameters, method, seed, inputs, device, offline=offline, report=report)
    ranks, diverged = None, None
    try:
        ranks = run.run(("validation",)).scores["validation"][0]
    except DivergedError as error:
        diverged = str(error)
    report({"event": "stage", "stage": "save"})
    return save_trial(run, number, ranks, diverged, time.perf_counter() - began, results)


def save_trial(
    run: "CellRun",
    number: int,
    ranks: Ranks | None,
    diverged: str | None,
    seconds: float,
    results: Path,
) -> Path:
    """Writes a trial's ranks and then the trial; returns its path."""
    setting = run.setting
    card = method_card(run.method, run.parameters)
    path = trial_path(results, setting.name, card.key, number)
    cutoffs, beam = setting.evaluation.cutoffs, setting.decoding.beam
    scores = None if ranks is None else metrics(ranks, cutoffs, beam, relevance_of(setting))
    content = {
        **identity(setting, card, run.seed),
        "schema_version": TRIAL_SCHEMA_VERSION,
        "protocol": PROTOCOL_VERSION,
        "number": number,
        "split": "validation",
        "score": None if scores is None else scores[MAIN_METRIC],
        "diverged": diverged,
        "metrics": scores,
        "num_users": None if ranks is None else num_users(ranks),
        "beam": beam,
        "cutoffs": cutoffs,
        "learning_curve": run.ledger.curve,
        "cost": run.ledger.cost,
        "seconds": seconds,
        "environment": describe_environment(
            run.device, run.dtype, run.attention, deterministic=True
        ),
        "inputs": inputs_of(run),
        "code": describe_code(),
        "ranks": None if ranks is None else write_ranks(ranks_path(path), ranks),
        "warnings": run.ledger.warnings,
    }
    write_trial(path, content)
    return path
