"""Tests of `gti-bench references` without RecBole: errors, and rows from a driver's stand-in."""

import sys
from pathlib import Path

import pytest

from benchmarks.perf.honest_records.edits import edit
from benchmarks.recbole import command, exchange
from benchmarks.recbole.command import parse_models, run_references
from benchmarks.recbole.exchange import RecBole
from benchmarks.run.options import CommandError, RunOptions
from leaderboard.records.record import read_record
from leaderboard.verify.verify import verify

# Items are scored by number, so that counts are known without a model.
DRIVER = """
import json, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
with np.load(folder / "split.npz", allow_pickle=False) as split:
    users, items = len(split["test"]), int(split["num_items"])
if job["model"] == "GRU4Rec":
    sys.exit("no luck")
for part in ("validation", "test"):
    scores = np.tile(np.arange(items, dtype=np.float32), (users, 1)) + job["seed"]
    np.save(folder / f"scores-{part}.npy", scores)
epochs = 2 if job["sequential"] else None
fit = {
    "known_at": "validation", "rows": 10, "steps": 4, "epochs": epochs,
    "best_epoch": epochs, "validation_ndcg10": [0.25, 0.5] if epochs else [],
    "train_loss": [2.0, 1.0] if epochs else [], "trainable_parameters": 7 if epochs else 0,
    "seconds": 1.5,
}
fits = [fit] if epochs else [fit, {**fit, "known_at": "test"}]
about = {
    "fits": fits, "scoring_seconds": 0.5, "peak_memory_bytes": 5, "machine": "m",
    "instruction_set": None, "driver": None, "threads": 2, "python": "3.11.0",
}
(folder / "report.json").write_text(json.dumps(about))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER, encoding="utf-8")
    monkeypatch.setattr(exchange, "DRIVER", driver)
    there = RecBole(Path(sys.executable), {"recbole": "1.2.1"}, cuda=False)
    monkeypatch.setattr(command, "find_recbole", lambda _: there)


def make(setting: Path, results: Path, models: str, seeds: str = "0", replace: bool = False):
    lines: list[str] = []
    options = RunOptions(results=results, offline=True, replace=replace)
    code = run_references(
        str(setting), models, seeds, options, python=None, threads=2, say=lines.append
    )
    return code, "\n".join(lines)


def test_rows_stand_on_the_board_and_verify(tmp_path, write_setting, stand_in) -> None:
    setting, results = write_setting(tmp_path), tmp_path / "results"
    code, said = make(setting, results, "pop,sasrec", "0,1")
    assert code == 0, said
    for row in ("(popularity)", "(markov)", "(recbole-pop)", "(recbole-sasrec)"):
        assert row in said
    record = read_record(results / "tiny" / "recbole-sasrec" / "seed-1.json")
    assert record.kind == "reference"
    assert record.method.settings["hidden_size"] == 64
    assert record.method.settings["MAX_ITEM_LIST_LENGTH"] == 9
    assert record.fits[0].best_epoch == 2
    assert record.environment.packages["recbole"] == "1.2.1"
    # RecBole's figure was 0.5, which these scores do not give.
    assert "by RecBole's evaluator" in record.warnings[0]
    assert [f for f in verify(results) if f.level == "error"] == []


def test_rows_that_stand_are_left_alone(tmp_path, write_setting, stand_in, monkeypatch) -> None:
    setting, results = write_setting(tmp_path), tmp_path / "results"
    make(setting, results, "pop")
    monkeypatch.setattr(command, "find_recbole", lambda _: pytest.fail("nothing is to be made"))
    code, said = make(setting, results, "pop")
    assert code == 0
    assert "rows to make" not in said


def test_a_model_that_fails_does_not_stop_the_others(tmp_path, write_setting, stand_in) -> None:
    code, said = make(write_setting(tmp_path), tmp_path / "results", "gru4rec,pop")
    assert code == 1
    assert "failed: recbole-gru4rec seed 0: RecBole's GRU4Rec ended with code 1" in said
    assert "no luck" in said
    assert (tmp_path / "results" / "tiny" / "recbole-pop" / "seed-0.json").exists()
    assert not (tmp_path / "results" / "tiny" / "recbole-gru4rec" / "seed-0.json").exists()


def test_seen_items_leave_the_rows_where_the_setting_says_so(
    tmp_path, write_setting, stand_in
) -> None:
    kept = write_setting(tmp_path)
    removed = write_setting(tmp_path, name="removed", seen_items='"remove"')
    found = {}
    for setting, name in ((kept, "tiny"), (removed, "removed")):
        assert make(setting, tmp_path / "results", "pop")[0] == 0
        record = read_record(tmp_path / "results" / name / "recbole-pop" / "seed-0.json")
        found[name] = record.metrics["test"]["mrr@50"]
    assert found["removed"] > found["tiny"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fits": None}, "fits"),
        ({"best_epoch": 1}, "fits.0.best_epoch"),
        ({"train_loss": [1.0]}, "fits.0.train_loss (epochs)"),
        ({"known_at": "test"}, "fits (known_at)"),
        ({"packages": {"recbole": "1.0"}}, "method.settings.library"),
    ],
)
def test_a_fit_that_does_not_add_up_is_found(
    tmp_path, write_setting, stand_in, change, field
) -> None:
    results = tmp_path / "results"
    make(write_setting(tmp_path), results, "sasrec")
    path = results / "tiny" / "recbole-sasrec" / "seed-0.json"

    def changed(content: dict) -> None:
        for name, value in change.items():
            parts = {"fits": content, "packages": content["environment"]}
            parts.get(name, content["fits"][0])[name] = value

    edit(path, changed)
    assert [f.field for f in verify(path) if f.level == "error"] == [field]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sasrek", "did you mean 'sasrec'"),
        ("bert", "there are RecBole's pop"),
        ("pop,pop", "twice"),
    ],
)
def test_models_that_are_not_there_are_refused(text: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        parse_models(text)


def test_the_command_line_says_how_to_get_recbole(tmp_path, write_setting, gti_bench) -> None:
    done = gti_bench(
        "references",
        write_setting(tmp_path),
        "--recbole-python",
        tmp_path / "nothing",
        "--results",
        tmp_path / "results",
    )
    assert done.returncode == 2
    assert "tox -e recbole" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
