"""A trial is written from what stays of a cell: no model has to be loaded for it."""

import torch

from benchmarks.cell.finished import LoadedCell
from benchmarks.cell.ledger import Ledger
from benchmarks.cell.trial import save_trial
from leaderboard.records.trial import TrialName, read_trial


def test_a_trial_says_what_its_cell_read_computed_with_and_noted_down(
    write_setting, spec_of, tmp_path
):
    spec = spec_of(write_setting(tmp_path), "mean", 100)
    read = {
        "dataset": spec.inputs.dataset.full_sha256,
        "semantic_ids": spec.inputs.semantic_ids.sha256,
        "backbone": "b" * 64,
        "tokenizer": "c" * 64,
        "prompts": "d" * 64,
        "queries": None,
    }
    ledger = Ledger(torch.device("cpu"), "bfloat16")
    ledger.note_cost("load", 2.5)
    ledger.warn("beware", None)
    cell = LoadedCell(spec=spec, read=read, dtype="bfloat16", attention="sdpa: math", ledger=ledger)
    name = TrialName(stage="sft", number=3)
    found = read_trial(
        save_trial(cell, name, None, "diverged at step 7", 4.5, tmp_path / "results")
    )
    assert (found.number, found.seed, found.method.key) == (3, 100, "mean")
    assert found.inputs.model_dump() == read
    assert (found.environment.dtype, found.environment.attention) == ("bfloat16", "sdpa: math")
    assert (found.environment.device, found.environment.deterministic) == ("cpu", True)
    assert found.cost["load"].seconds == 2.5
    assert found.warnings == ("beware",)
    assert (found.diverged, found.score, found.seconds) == ("diverged at step 7", None, 4.5)
