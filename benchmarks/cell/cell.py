"""One cell: setting × method × seed, from the pretrained backbone to the written record."""

import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cell.finished import FinishedCell, Scores
from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.retention import bits_per_character
from benchmarks.cell.saving import save_cell
from benchmarks.cell.spec import CellSpec
from benchmarks.cell.train import TrainedCell, train_cell
from benchmarks.cell.treatment import measure_treatment
from gti.data.dataset import HELD_OUT, Part


def run_cell(spec: CellSpec, results: Path) -> Path:
    """Runs one cell and writes its record under `results`; returns the record's path."""
    finished = finish(train_cell(prepare_cell(spec), measure_treatment))
    spec.report({"event": "stage", "stage": "save"})
    return save_cell(finished, results)


def score(cell: TrainedCell, parts: Sequence[Part] = HELD_OUT) -> Scores:
    """Ranks of all that `parts` of the split ask."""
    prepared, scorer = cell.prepared, cell.prepared.scorer
    began, before = prepared.enter("score"), scorer.tokens
    scores = {part: scorer.ranks(cell.model, part, prepared.progress(part)) for part in parts}
    ledger = prepared.ledger
    ledger.note_cost("score", time.perf_counter() - began, tokens=scorer.tokens - before)
    ledger.note_search(scorer.cut_to)
    return scores


def measure_retention(cell: TrainedCell) -> None:
    """Notes down what the model knows of plain English after SFT, and what it knew before."""
    prepared = cell.prepared
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
