"""`gti-bench rerun`: the same bits, one more draw, a made-up record, and what cannot run."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.edits import edit, give_ranks
from benchmarks.rerun.lines import verdict_line
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_content, read_record
from leaderboard.records.reproductions import Reproduction, read_reproductions, reproductions_path

# Another way of summing on x86-64 than the machine's own; elsewhere it changes nothing.
OTHER_ARITHMETIC = ("ATEN_CPU_CAPABILITY", "default")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, write_setting, gti_bench):
    """Results of `mean` at three seeds and both references; the setting's file is gone."""
    folder = tmp_path_factory.mktemp("recorded")
    setting = write_setting(folder, passes="0.5")
    results = folder / "results"
    done = gti_bench("run", setting, "--methods", "mean", "--seeds", "0,1,2", "--results", results)
    assert done.returncode == 0, done.stderr
    setting.unlink()
    return results


@pytest.fixture
def results(recorded, tmp_path):
    """A copy of them for one test."""
    return shutil.copytree(recorded, tmp_path / "results")


def cell(results: Path, method: str = "mean", seed: int = 0) -> Path:
    return results / "tiny" / method / f"seed-{seed}.json"


def changed(path: Path, **changes: object) -> Path:
    """The record at `path` with other top-level fields and a digest that fits."""
    return edit(path, lambda content: content.update(changes))


def made_up(path: Path) -> Path:
    """The record at `path` with every target found at once: whole, and verified as far as seen."""
    ranks = read_ranks(ranks_path(path))
    nothing = np.zeros(len(ranks), np.int32)
    everything = replace(ranks, in_beam=nothing == 0, num_better=nothing, num_tied=nothing)
    return give_ranks(path, everything)


def test_cells_and_references_run_again_from_their_records_alone(results, gti_bench, tmp_path):
    paths = [cell(results), cell(results, "markov"), cell(results, "popularity")]
    before = {path: path.read_bytes() for path in results.rglob("seed-*.json")}
    done = gti_bench(
        "rerun", *paths, "--by", "A. Reader", "--keep", tmp_path / "kept", "--offline",
        "--workers", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("reproduced exactly") == 3
    assert {path: path.read_bytes() for path in results.rglob("seed-*.json")} == before
    for path in paths:
        record = read_record(path)
        (found,) = read_reproductions(path, record.digest)
        assert (found.who, found.outcome, found.differing) == ("A. Reader", "exact", ())
        assert found.same_rows == found.num_rows == 80
        again = read_record(tmp_path / "kept" / path.relative_to(results))
        assert again.metrics == record.metrics
        assert again.code == found.code
    checked = gti_bench("verify", results)
    assert checked.returncode == 0, checked.stdout
    shown = gti_bench("table", "tiny", "--results", results, "--verify")
    assert "Verified just now: all 5 records pass" in shown.stdout
    assert "mean 1 of 3 seeds exactly" in shown.stdout
    as_json = gti_bench("table", "tiny", "--results", results, "--format", "json", "--verify")
    states = {row["key"]: row["state"] for row in json.loads(as_json.stdout)["rows"]}
    assert states == {"mean": "verified", "markov": "reproduced", "popularity": "reproduced"}


def test_other_arithmetic_is_one_more_draw_and_a_made_up_record_is_none(
    results, gti_bench, monkeypatch
):
    made_up(cell(results, seed=1))
    monkeypatch.setenv(*OTHER_ARITHMETIC)
    done = gti_bench("rerun", cell(results), cell(results, seed=1), "--json", "--workers", "2")
    assert done.returncode == 1, done.stderr
    honest, false = (
        Reproduction.model_validate({k: v for k, v in line.items() if k != "path"})
        for line in json.loads(done.stdout)
    )
    assert honest.outcome in ("exact", "equivalent")
    assert false.outcome == "different"
    assert false.scores.recorded == 1.0
    assert false.scores.again < 0.5
    assert "ranks" in false.differing
    assert "NOT REPRODUCED" in verdict_line("mean", false)
    if honest.outcome == "equivalent":
        assert any("instruction set" in line for line in honest.context)
        assert honest.spread.seeds == (0, 1, 2)
        assert "equivalently, not exactly" in verdict_line("mean", honest)
    assert read_reproductions(cell(results, seed=1), false.record) == [false]


def test_a_new_record_in_its_place_takes_the_reproductions_away(results):
    reproductions_path(cell(results, "markov")).write_text("of another\n")
    cell(results, "markov").unlink()
    setting = read_record(cell(results)).setting
    from benchmarks.inputs.inputs import load_data
    from benchmarks.run.write_references import write_references

    written = write_references(setting, load_data(setting, offline=True), results, print)
    assert written == [cell(results, "markov")]
    assert not reproductions_path(cell(results, "markov")).exists()


def without_semantic_ids(results: Path) -> None:
    (artefact,) = (results / "inputs").iterdir()
    artefact.unlink()
    setting = read_content(cell(results))["setting"]
    setting["semantic_ids"]["sha256"] = "unpinned"
    rehashed(results, setting)


def rehashed(results: Path, setting: dict) -> None:
    """Gives seed 0 another setting, with hashes that fit."""
    from leaderboard.records.setting import Setting

    found = Setting.model_validate(setting).hash
    changed(cell(results), setting=setting, setting_hash=found)


def other_artefact(results: Path) -> None:
    from gti.data.semantic_ids import SemanticIds

    (path,) = (results / "inputs").iterdir()
    found = SemanticIds.from_file(path)
    path.write_bytes(replace(found, description={"made": "elsewhere"}).to_bytes())


def other_data(results: Path) -> None:
    setting = read_content(cell(results))["setting"]
    setting["dataset"]["sha256"] = "unpinned"
    rehashed(results, setting)
    inputs = read_content(cell(results))["inputs"]
    changed(cell(results), inputs={**inputs, "dataset": "0" * 64})


def unknown_method(results: Path) -> None:
    method = read_content(cell(results))["method"]
    changed(cell(results), method={**method, "key": "meen"})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda r: cell(r).unlink(), "cannot read record"),
        (lambda r: changed(cell(r), protocol="0"), "the two never compare; check out"),
        (lambda r: changed(cell(r), setting_hash="0" * 64), "`gti-bench verify` says more"),
        (lambda r: cell(r).write_text(cell(r).read_text().replace("tests", "pests")), "digest"),
        (lambda r: ranks_path(cell(r)).write_bytes(b""), "not the file its record names"),
        (without_semantic_ids, "its setting pins none; put the author's file there"),
        (other_artefact, "fetch the author's file"),
        (other_data, "inputs.dataset here has hash"),
        (unknown_method, "did you mean 'mean'?"),
    ],
)
def test_what_cannot_run_is_one_clear_line_before_any_work(results, capsys, spoil, words):
    spoil(results)
    assert exit_code(["rerun", str(cell(results)), "--offline"]) == 2
    complaint = capsys.readouterr().err
    assert words in complaint
    assert complaint.count("\n") == 1
    assert not reproductions_path(cell(results)).exists()


def test_no_record_and_one_cell_twice_are_wrong_usage(results, tmp_path, capsys):
    assert exit_code(["rerun"]) == 2
    assert "name a record" in capsys.readouterr().err
    copy = shutil.copytree(results, tmp_path / "copy")
    assert exit_code(["rerun", str(cell(results)), str(cell(copy)), "--offline"]) == 2
    assert "are one cell; name one of them" in capsys.readouterr().err
