"""Runs and writes one trial of `gti-bench tune`: a cell that is scored on validation alone."""

import time
from pathlib import Path

from benchmarks.cell.cell import score
from benchmarks.cell.finished import LoadedCell
from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.saving import common_fields
from benchmarks.cell.spec import CellSpec
from benchmarks.cell.train import train_cell
from gti.train.training import DivergedError
from leaderboard.metrics.metrics import MAIN_METRIC, metrics, num_users, relevance_of
from leaderboard.records.ranks import Ranks, write_ranks
from leaderboard.records.record import ranks_path
from leaderboard.records.trial import TRIAL_SCHEMA_VERSION, trial_path, write_trial


def run_trial(spec: CellSpec, number: int, results: Path) -> Path:
    """Runs the cell `spec` as trial `number` and writes it under `results`; returns its path."""
    began = time.perf_counter()
    cell = prepare_cell(spec)
    ranks, diverged = None, None
    try:
        ranks, _ = score(train_cell(cell), ("validation",))["validation"]
    except DivergedError as error:
        diverged = str(error)
    spec.report({"event": "stage", "stage": "save"})
    return save_trial(cell, number, ranks, diverged, time.perf_counter() - began, results)


def save_trial(
    cell: LoadedCell,
    number: int,
    ranks: Ranks | None,
    diverged: str | None,
    seconds: float,
    results: Path,
) -> Path:
    """Writes a trial's ranks and then the trial; returns its path."""
    setting = cell.spec.setting
    path = trial_path(results, setting.name, cell.spec.card.key, number)
    cutoffs, beam = setting.evaluation.cutoffs, setting.decoding.beam
    scores = None if ranks is None else metrics(ranks, cutoffs, beam, relevance_of(setting))
    content = {
        **common_fields(cell),
        "schema_version": TRIAL_SCHEMA_VERSION,
        "number": number,
        "split": "validation",
        "score": None if scores is None else scores[MAIN_METRIC],
        "diverged": diverged,
        "metrics": scores,
        "num_users": None if ranks is None else num_users(ranks),
        "beam": beam,
        "cutoffs": cutoffs,
        "seconds": seconds,
        "ranks": None if ranks is None else write_ranks(ranks_path(path), ranks),
    }
    write_trial(path, content)
    return path
