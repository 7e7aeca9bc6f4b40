"""Runs and writes one trial of `gti-bench tune`: a cell that is scored on validation alone."""

import time
from pathlib import Path
from typing import Any

from benchmarks.cell.cell import CellRun
from benchmarks.cell.identity import identity, method_card
from benchmarks.cell.saving import inputs_of
from benchmarks.machine.environment import describe_code, describe_environment
from leaderboard.metrics.metrics import MAIN_METRIC, metrics, num_users, relevance_of
from leaderboard.records.ranks import Ranks, write_ranks
from leaderboard.records.record import (
    PROTOCOL_VERSION,
    ranks_path,
)
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.trial import TRIAL_SCHEMA_VERSION, trial_path, write_trial


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
    """Runs one trial (see `benchmarks.cell.cell.run_cell`) and writes it; returns its path."""
    from benchmarks.cell.cell import CellRun
    from gti.train.training import DivergedError

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
