"""The README says what the records say, and its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_board_in_the_readme_is_the_one_the_committed_records_make():
    from leaderboard.board.board import load_leaderboards
    from leaderboard.render.board_tables import render

    found = load_leaderboards([ROOT / "leaderboard" / "results"], setting="ml-100k-nano")
    assert not found.refused
    (board,) = found.boards
    shown = README.partition("<!-- board of ml-100k-nano:")[2].partition("-->\n")[2]
    shown = shown.partition("\n<!-- end of board -->")[0]
    assert shown.strip() == render(board, "brief").strip()


def test_the_committed_records_pass_verification():
    from leaderboard.verify.verify import verify

    assert verify(ROOT / "leaderboard" / "results") == []


def test_every_committed_cell_of_the_cpu_boards_is_past_popularity():
    from leaderboard.records.record import find_records, read_record

    records = [read_record(path) for path in find_records(ROOT / "leaderboard" / "results")]
    floors = {
        record.setting.name: record.metrics["test"]["recall@10"]
        for record in records
        if record.method.key == "popularity"
    }
    # A board on a sample of users shows that a path works; its cells learn next to nothing.
    whole = [record for record in records if record.setting.dataset.sample_users is None]
    cells = [record for record in whole if record.kind == "cell"]
    assert cells
    for record in cells:
        assert record.metrics["test"]["recall@10"] > floors[record.setting.name]


def test_committed_records_are_of_the_settings_as_they_are_now():
    from baselines.registry import methods
    from benchmarks.cell.identity import parameters_of
    from benchmarks.inputs.catalogue import find_setting
    from leaderboard.records.record import find_records, read_record

    for path in find_records(ROOT / "leaderboard" / "results"):
        record = read_record(path)
        file = find_setting(record.setting.name)
        assert record.setting_hash == file.setting.hash, path
        own = methods().get(record.method.key)  # null for references, which have no rates
        assert own is None or record.method.parameters == parameters_of(file, own), path


def test_the_example_in_the_readme_runs_and_grounds(tmp_path):
    code = README.partition("```python\n")[2].partition("```")[0]
    code = code.replace('"benchmarks/nano"', repr(str(ROOT / "benchmarks/nano")))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "grounding took" in done.stdout
    assert "changed besides: nothing, bit for bit" in done.stdout
    assert (tmp_path / "out" / "tokenizer.json").exists()


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"`gti-bench ([a-z-]+)", README))))
def test_commands_in_the_readme_exist(gti_bench, verb):
    done = gti_bench(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"gti-bench {verb}" in done.stdout
