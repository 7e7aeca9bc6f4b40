"""Runs and writes one trial of `gti-bench tune`: a cell that is scored without any test data."""

from dataclasses import replace
from pathlib import Path

from benchmarks.cell.cell import score
from benchmarks.cell.finished import LoadedCell
from benchmarks.cell.leftovers import checkpoint_folder, remove_leftovers
from benchmarks.cell.prepare import PreparedCell, prepare_cell
from benchmarks.cell.saving import common_fields
from benchmarks.cell.spec import CellSpec
from benchmarks.cell.train import ground, initialize, train_cell
from benchmarks.cell.treatment import measure_treatment
from gti.train.training import DivergedError
from leaderboard.metrics.metrics import metrics, num_users, relevance_of
from leaderboard.records.parts import Treatment
from leaderboard.records.ranks import Ranks, write_ranks
from leaderboard.records.record import ranks_path
from leaderboard.records.trial import (
    SCORES,
    TRIAL_SCHEMA_VERSION,
    TrialName,
    held_out_nll,
    judged,
    trial_path,
    write_trial,
)


def run_trial(spec: CellSpec, name: TrialName, results: Path) -> Path:
    """Runs the cell `spec` as the trial `name` and writes it under `results`; returns its path."""
    path = trial_path(results, spec.setting.name, spec.card.key, name, spec.seed)
    cell = prepare_cell(replace(spec, checkpoint=checkpoint_folder(path)))
    ranks, diverged = None, None
    try:
        if name.stage == "grounding":
            _measure_grounding(cell)
        else:
            ranks, _ = score(train_cell(cell), ("validation",))["validation"]
    except DivergedError as error:
        diverged = str(error)
    spec.report({"event": "stage", "stage": "save"})
    save_trial(cell, name, ranks, diverged, cell.ledger.all_seconds(), results)
    remove_leftovers(path)
    return path


def _measure_grounding(cell: PreparedCell) -> None:
    """Runs the stage before SFT alone; what it did is noted down in the cell's ledger."""
    initialized = initialize(cell)
    ground(initialized)
    if cell.ledger.treatment is None:
        measure_treatment(initialized)


def save_trial(
    cell: LoadedCell,
    name: TrialName,
    ranks: Ranks | None,
    diverged: str | None,
    seconds: float,
    results: Path,
) -> Path:
    """Writes a trial's ranks, if it has any, and then the trial; returns its path."""
    spec, setting, treatment = cell.spec, cell.spec.setting, cell.ledger.treatment
    path = trial_path(results, setting.name, spec.card.key, name, spec.seed)
    cutoffs, beam = setting.evaluation.cutoffs, setting.decoding.beam
    found = None if ranks is None else metrics(ranks, cutoffs, beam, relevance_of(setting))
    reached = None
    if ranks is not None:
        reached = metrics(judged(ranks, setting), (), beam, relevance_of(setting))[SCORES["sft"]]
    if treatment is not None:
        reached = held_out_nll(Treatment.model_validate(treatment))
    content = {
        **common_fields(cell),
        "schema_version": TRIAL_SCHEMA_VERSION,
        "stage": name.stage,
        "number": name.number,
        "metric": SCORES[name.stage],
        "score": reached,
        "diverged": diverged,
        "treatment": treatment,
        "metrics": found,
        "num_users": None if ranks is None else num_users(ranks),
        "beam": beam,
        "cutoffs": cutoffs,
        "seconds": seconds,
        "ranks": None if ranks is None else write_ranks(ranks_path(path), ranks),
    }
    write_trial(path, content)
    return path
