"""One trial of `gti-bench tune`: a cell that is scored on validation alone, and what it leaves.

    <results>/tuning/<setting>/<method>/trial-<n>.json            written last: commit mark
    <results>/tuning/<setting>/<method>/trial-<n>.ranks.parquet   validation ranks, as in a record

A trial is a setting, a method with its own parameters (the point tried) and the tuning seed: its
identity is the hash of that cell, so a point that was tried once need not be tried again. A trial
whose training diverged is a trial too: its score is null and it says so.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from benchmarks.environment import describe_code, describe_environment
from benchmarks.plan import PlannedCell, State, headline
from benchmarks.saving import identity, inputs_of, method_card
from leaderboard.canonical import canonical_json, file_sha256, write_atomically
from leaderboard.metrics import MAIN_METRIC, metrics, num_users, relevance_of
from leaderboard.ranks import Ranks, write_ranks
from leaderboard.record import (
    PROTOCOL_VERSION,
    Code,
    Cost,
    CurvePoint,
    Environment,
    Inputs,
    MethodCard,
    Metrics,
    RecordError,
    cell_hash,
    ranks_path,
    read_content,
    record_digest,
)
from leaderboard.setting import Frozen, MethodParameters, Setting, Sha256

if TYPE_CHECKING:
    from benchmarks.cell import CellRun

TRIAL_SCHEMA_VERSION = 1


class Trial(Frozen):
    """What a trial leaves. There is no field for test scores: they are never computed.

    Attributes:
        method: the method; its `parameters` are the point that was tried.
        score: validation `ndcg@10` over all users at the last step; null where it diverged.
        diverged: why there is no score; null where there is one.
        metrics: of validation, at the setting's cutoffs; null where it diverged.
        seconds: of the whole trial.
        ranks: sha256 of the ranks beside it; null where it diverged.
    """

    schema_version: int
    protocol: str
    setting: Setting
    setting_hash: Sha256
    method: MethodCard
    method_hash: Sha256
    seed: int
    number: int
    cell_hash: Sha256
    split: Literal["validation"]
    score: float | None
    diverged: str | None
    metrics: Metrics | None
    num_users: int | None
    beam: int
    cutoffs: tuple[int, ...]
    learning_curve: tuple[CurvePoint, ...]
    cost: dict[str, Cost]
    seconds: float
    environment: Environment
    inputs: Inputs
    code: Code
    ranks: Sha256 | None
    warnings: tuple[str, ...]
    digest: Sha256


def trial_path(results: Path, setting: str, method: str, number: int) -> Path:
    """Where the trial of that number lies."""
    return results / "tuning" / setting / method / f"trial-{number}.json"


def read_trial(path: Path) -> Trial:
    """The trial at `path`, whole and unchanged.

    Raises:
        RecordError: it cannot be read, was changed, or its ranks are not the ones it names.
    """
    content = read_content(path)
    try:
        trial = Trial.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(f"{path}: field {where}: {first['msg'].lower()}") from error
    if record_digest(content) != trial.digest:
        raise RecordError(f"{path}: changed since it was written (digest differs)")
    if trial.ranks is not None:
        ranks = ranks_path(path)
        if not ranks.is_file() or file_sha256(ranks) != trial.ranks:
            raise RecordError(f"{ranks}: not the file its trial names")
    return trial


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
        "environment": describe_environment(run.device, setting.backbone.dtype, deterministic=True),
        "inputs": inputs_of(run),
        "code": describe_code(),
        "ranks": None if ranks is None else write_ranks(ranks_path(path), ranks),
        "warnings": run.ledger.warnings,
        "digest": "0" * 64,
    }
    trial = Trial.model_validate(content)
    canonical = json.loads(canonical_json(trial.model_dump(mode="json")))
    canonical["digest"] = record_digest(canonical)
    text = json.dumps(canonical, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())
    return path
