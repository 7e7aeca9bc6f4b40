"""One cell: setting × method × seed, from the pretrained backbone to the written record."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cell.finished import FinishedCell, Scores
from benchmarks.cell.leftovers import checkpoint_folder, remove_leftovers
from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.retention import bits_per_character
from benchmarks.cell.saving import save_cell
from benchmarks.cell.spec import CellSpec
from benchmarks.cell.train import TrainedCell, train_cell
from benchmarks.cell.treatment import measure_treatment
from gti.data.dataset import HELD_OUT, Part
from leaderboard.records.record import record_path


def run_cell(spec: CellSpec, results: Path) -> Path:
    """Runs one cell and writes its record under `results`; returns the record's path.

    Until the record stands a checkpoint lies in its place, from which the cell goes on.
    """
    path = record_path(results, spec.setting.name, spec.card.key, spec.seed)
    prepared = prepare_cell(replace(spec, checkpoint=checkpoint_folder(path)))
    finished = finish(train_cell(prepared, measure_treatment))
    spec.report({"event": "stage", "stage": "save"})
    save_cell(finished, results)
    remove_leftovers(path)
    return path


def score(cell: TrainedCell, parts: Sequence[Part] = HELD_OUT) -> Scores:
    """Ranks of all that `parts` of the split ask."""
    prepared, scorer = cell.prepared, cell.prepared.scorer
    prepared.enter("score")
    before = scorer.marks.setdefault("score", scorer.tokens)
    with scorer.keeping():
        scores = {part: scorer.ranks(cell.model, part, prepared.progress(part)) for part in parts}
    ledger = prepared.ledger
    ledger.note_cost("score", ledger.seconds("score"), tokens=scorer.tokens - before)
    ledger.note_search(scorer.cut_to)
    return scores


def measure_retention(cell: TrainedCell) -> None:
    """Notes down what the model knows of plain English after SFT, and what it knew before."""
    prepared = cell.prepared
    if prepared.ledger.retention is not None:
        return  # a checkpoint has it
    spec, english, ledger = prepared.spec, prepared.english, prepared.ledger
    began = prepared.enter("retention")
    asked = (cell.model, english.examples, prepared.forms, spec.device, prepared.dtype)
    ledger.retention = english.record(bits_per_character(*asked))
    seconds = time.perf_counter() - began
    ledger.note_cost("retention", ledger.cost["retention"]["seconds"] + seconds)


def finish(cell: TrainedCell) -> FinishedCell:
    """Scores both held-out parts; what is left is to be saved."""
    prepared = cell.prepared
    measure_retention(cell)
    return FinishedCell(
        spec=prepared.spec,
        read=prepared.read,
        dtype=prepared.dtype,
        attention=prepared.attention,
        ledger=prepared.ledger,
        manifest=cell.manifest,
        sft_flops=prepared.budget.sft_flops,
        extra_flops=prepared.budget.extra.flops,
        scores=score(cell),
    )
