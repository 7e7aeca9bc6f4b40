"""The reference `titles` from the command to the board, and what `verify` finds in its record."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_data
from benchmarks.perf.honest_records.edits import edit
from benchmarks.recbole.command import run_references
from benchmarks.run.options import RunOptions
from benchmarks.titles import reference
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.render.boards import boards
from leaderboard.verify.verify import DIGEST_ALONE, verify


def run(setting: Path, results: Path, models: str = "titles") -> tuple[int, str]:
    lines: list[str] = []
    options = RunOptions(results=results, offline=True, device="cpu")
    code = run_references(
        str(setting), models, "0", options, python=None, threads=1, say=lines.append
    )
    return code, "\n".join(lines)


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_setting, cell_here):
    """The setting, results with `mean` and `titles` in them, and what the command said."""
    folder = tmp_path_factory.mktemp("titles")
    setting, results = write_setting(folder), folder / "results"
    cell_here(setting, "mean", results)
    code, said = run(setting, results)
    assert code == 0, said
    return setting, results, said


def record_of(results: Path, method: str = "titles") -> Path:
    return results / "tiny" / method / "seed-0.json"


def errors(path: Path) -> list[str]:
    return [finding.field for finding in verify(path) if finding.level == "error"]


def test_it_trains_on_the_same_r_and_stands_in_parentheses_and_verifies(made):
    _, results, said = made
    record, mean = (read_record(record_of(results, key)) for key in ("titles", "mean"))
    assert record.kind == "reference"
    assert record.tasks == {"retrieval": mean.tasks["retrieval"]}
    assert record.cost["sft"].steps == mean.cost["sft"].steps
    assert record.cost["sft"].nominal_flops > mean.cost["sft"].nominal_flops
    assert record.inputs.semantic_ids is None
    assert record.inputs.backbone == mean.inputs.backbone
    assert record.names.num_items == mean.accounting.num_items
    (proof,) = record.proofs
    assert (proof.new_rows_changed, proof.backbone_changed) == (0, True)
    assert "(titles)" in said
    assert errors(results) == []
    (board,), _, _ = boards([results], "trie_nll", "tiny")
    row = board.row("titles")
    assert row.means["trie_nll"] == record.metrics["test"]["trie_nll"]
    assert row.difference.verdict == "not tested"
    assert not row.ties


def test_a_second_run_makes_nothing_anew_and_the_same_seed_gives_the_same_ranks(made, tmp_path):
    setting, results, _ = made
    before = record_of(results).read_bytes()
    code, said = run(setting, results)
    assert (code, record_of(results).read_bytes()) == (0, before)
    assert "to make" not in said
    file = find_setting(str(setting))
    data = load_data(file.setting, offline=True)
    where = torch.device("cpu")
    again = reference.write_titles(file.setting, 0, data, tmp_path, where, print, offline=True)
    one, other = (read_ranks(ranks_path(path)) for path in (again, record_of(results)))
    np.testing.assert_array_equal(one.num_better, other.num_better)
    np.testing.assert_array_equal(one.nll, other.nll)


def test_ranks_and_nll_are_those_of_all_titles_written_out_whole(tmp_path, write_setting):
    """Teacher forcing of every title by the library's own logits, for some users."""
    file = find_setting(str(write_setting(tmp_path, beam="60")))  # as wide as the catalogue
    data = load_data(file.setting, offline=True)
    ready = reference._prepare(file.setting, 0, data, torch.device("cpu"), offline=True)
    users, names = np.arange(4), ready.prompter.names
    targets = data.split.targets("test")[users]
    found = ready.scorer.counts(ready.model, "test", users)
    losses = ready.scorer.nll(ready.model, "test", users)
    for row, prompt in enumerate(ready.scorer.track.prompts("test", users, 0)):
        scores = []
        for name in names:
            ids = torch.tensor([*prompt.tolist(), *name])[None]
            with torch.no_grad():
                logp = ready.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            scores.append(float(logp.gather(1, torch.tensor(name)[:, None]).double().sum()))
        own = scores[targets[row]]
        assert losses.nll[row] == pytest.approx(-own, abs=1e-3)
        surely = sum(score > own + 1e-4 for score in scores)
        perhaps = sum(score > own - 1e-4 for score in scores) - 1
        assert surely <= found.num_better[row] <= perhaps


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("names.beam", 7, "names.beam"),
        ("names.num_items", 61, "num_items (accounting, names)"),
        ("names.numbered", -1, "names.numbered"),
        ("names.untitled", 9, "names.untitled"),
        ("names.tokens_mean", 1.0, "names.tokens_mean"),
        ("names.beam_used_mean", 3.5, "names.beam_used_mean"),
        ("names.beam_used_min", 1, "names.beam_used_min"),
        ("tasks.retrieval", 5, "tasks.retrieval"),
        ("cost.sft.steps", 1, "tasks.retrieval"),
        ("cost.sft.actual_flops", 5.0, "cost.sft.actual_flops"),
        ("proofs.0.new_rows_changed", 3, "proofs.0.new_rows_changed"),
        ("proofs.0.backbone_changed", False, "proofs.0.backbone_changed"),
        ("inputs.backbone", None, "inputs.backbone"),
        ("metrics.test.trie_nll", 1.5, "metrics.test.trie_nll"),
    ],
)
def test_a_changed_field_is_named(made, field, value, named):
    _, results, _ = made
    path = record_of(results)
    before = path.read_bytes()

    def change(content):
        *parents, last = field.split(".")
        place = content
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[last] = value

    try:
        edit(path, change)
        assert any(named in found for found in errors(results)), errors(results)
    finally:
        path.write_bytes(before)


def test_names_are_listed_where_only_bounds_are_checked():
    assert {name for name in DIGEST_ALONE if name.startswith("names.")} == {
        "names.numbered",
        "names.tokens_*",
        "names.untitled",
    }


def test_names_in_a_cell_are_refused(made):
    _, results, _ = made
    path, named = record_of(results, "mean"), json.loads(record_of(results).read_text())["names"]
    before = path.read_bytes()
    try:
        edit(path, lambda content: content.update(names=named))
        assert "names" in errors(path)
    finally:
        path.write_bytes(before)


def test_titles_that_do_not_fit_fail_in_one_line_before_training(
    tmp_path, write_setting, monkeypatch
):
    monkeypatch.setattr(reference, "context_of", lambda config: 30)
    monkeypatch.setattr(reference, "_train", lambda *_: pytest.fail("it trains"))
    code, said = run(write_setting(tmp_path), tmp_path / "results")
    assert code == 1
    (line,) = [line for line in said.splitlines() if line.startswith("failed: titles seed 0: ")]
    assert "do not fit into the model's context of 30; lower max_history" in line
