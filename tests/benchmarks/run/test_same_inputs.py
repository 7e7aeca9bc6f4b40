"""Records of other inputs, where a setting pins none: told apart, refused, replaced."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.datasets import load_dataset
from benchmarks.run.runner import Outcome
from leaderboard.records.record import read_record


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_setting, cell_here):
    """A folder with an unpinned setting, its data, and the finished cell of `mean` at seed 0."""
    folder = tmp_path_factory.mktemp("unpinned")
    setting = write_setting(folder, sha256='"unpinned"', passes="0.2", curve_points="1")
    cell_here(setting, "mean", folder / "results")
    return folder


@pytest.fixture
def started(made, monkeypatch):
    """Labels of the cells that `run` would have started; none is run, its old record goes."""
    labels: list[str] = []

    def note(_, todo, *__, **___):
        for cell in todo:
            labels.append(cell.label)
            cell.path.unlink(missing_ok=True)
        return Outcome([], [])

    monkeypatch.setattr("benchmarks.run.run._run_missing", note)
    return labels


@pytest.fixture
def data(made):
    """The data's folder; what a test changes in it is put back."""
    folder = made / "data" / "tiny"
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    yield folder
    for path, content in kept.items():
        path.write_bytes(content)


def other_titles(data: Path) -> None:
    items = data / "Tiny.item.json"
    items.write_text(items.read_text().replace("western", "easterns"))


def run(made: Path, *more: str, verb: str = "run", results: str = "results") -> int:
    given = [verb, str(made / "tiny.toml"), "--seeds", "0", "--results", str(made / results)]
    return exit_code([*given, "--device", "cpu", "--offline", *more])


def test_the_same_inputs_are_done(made, started):
    assert run(made, "--methods", "mean") == 0
    assert started == []


def test_a_record_of_another_dataset_is_refused_with_both_hashes_and_the_way_out(
    made, data, started, capsys
):
    before = read_record(made / "results" / "tiny" / "mean" / "seed-0.json").inputs.dataset
    other_titles(data)
    here = load_dataset(f"lcrec:{data}").sha256
    assert run(made, "--methods", "mean") == 2
    said = capsys.readouterr().err
    assert f"made from dataset {before}, where here is {here}" in said
    assert "--replace" in said
    assert "--results" in said
    assert started == []


def test_other_semantic_ids_of_the_same_data_are_told_apart(made, data, started, capsys):
    before = read_record(made / "results" / "tiny" / "mean" / "seed-0.json").inputs
    index = data / "Tiny.index.json"
    codes = json.loads(index.read_text())
    codes["0"] = ["<a_7>", "<b_7>"]
    index.write_text(json.dumps(codes))
    assert run(made, "--methods", "mean") == 2
    said = capsys.readouterr().err
    assert f"made from Semantic IDs {before.semantic_ids}, where here is" in said
    assert before.dataset not in said


def test_a_new_cell_is_not_set_beside_records_of_other_inputs(made, data, started, capsys):
    other_titles(data)
    assert run(made, "--methods", "random") == 2
    said = capsys.readouterr().err
    assert str(made / "results" / "tiny" / "mean" / "seed-0.json") in said
    assert "cells of other inputs beside it" in said
    assert started == []


def test_plan_names_the_state_and_what_run_will_refuse(made, data, capsys):
    other_titles(data)
    assert run(made, "--methods", "mean", verb="plan") == 0
    assert "made from dataset" in capsys.readouterr().out
    assert run(made, "--methods", "random", verb="plan") == 0
    assert "`run` will refuse: " in capsys.readouterr().out


def test_replacing_or_writing_elsewhere_is_the_way_out(made, data, started):
    other_titles(data)
    copy = made / "replaced"
    shutil.copytree(made / "results", copy)
    assert run(made, "--methods", "mean", "--replace", results="replaced") == 0
    assert started == ["mean seed 0"]
    here = load_dataset(f"lcrec:{data}").sha256
    assert read_record(copy / "tiny" / "popularity" / "seed-0.json").inputs.dataset == here
    started.clear()
    assert run(made, "--methods", "random", results="elsewhere") == 0
    assert started == ["random seed 0"]


def test_references_of_other_inputs_are_made_anew(made, data, started):
    results = made / "references"
    assert run(made, "--methods", "mean", results="references") == 0
    path = results / "tiny" / "popularity" / "seed-0.json"
    before = read_record(path)
    other_titles(data)
    assert run(made, "--methods", "mean", results="references") == 0
    assert read_record(path).inputs.dataset != before.inputs.dataset
