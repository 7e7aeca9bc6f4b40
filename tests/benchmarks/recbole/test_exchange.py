"""Tests of the hand-over to RecBole's process, with a driver and an environment that stand in."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.recbole import exchange
from benchmarks.recbole.exchange import (
    VARIABLE,
    RecBole,
    RecBoleError,
    find_recbole,
    read_scores,
    run_driver,
)
from benchmarks.recbole.models import MODELS
from gti.data.dataset import Split

SPLIT = Split(
    users=np.arange(2),
    train=(np.array([0, 1]), np.array([2])),
    validation=np.array([2, 0]),
    test=np.array([3, 1]),
    dropped_users=0,
)
HERE = RecBole(Path(sys.executable), {}, cuda=False)

WHOLE = """
import json, os, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
with np.load(folder / "split.npz", allow_pickle=False) as split:
    arrays = {name: split[name].tolist() for name in split.files}
print("a line of another library")
for epoch in (1, 2):
    print(json.dumps({"epoch": epoch, "ndcg@10": epoch / 10}), flush=True)
for part in ("validation", "test"):
    np.save(folder / f"scores-{part}.npy", np.zeros((2, 4), dtype=np.float32))
seen = {"job": job, "arrays": arrays, "threads": os.environ["OMP_NUM_THREADS"], "path": sys.path}
(folder / "report.json").write_text(json.dumps(seen))
"""


def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, on_epoch=None):
    driver = tmp_path / "driver.py"
    driver.write_text(code, encoding="utf-8")
    monkeypatch.setattr(exchange, "DRIVER", driver)
    folder = tmp_path / "exchange"
    folder.mkdir()
    report = run_driver(
        HERE,
        folder,
        SPLIT,
        4,
        MODELS["sasrec"],
        max_history=9,
        seed=3,
        device="cpu",
        threads=2,
        on_epoch=on_epoch,
    )
    return report, folder


def test_the_driver_is_handed_the_split_and_what_is_asked(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "ours"))
    epochs: list[tuple[int, float]] = []
    report, folder = drive(tmp_path, monkeypatch, WHOLE, lambda *told: epochs.append(told))
    assert report["arrays"] == {
        "train": [0, 1, 2],
        "lengths": [2, 1],
        "validation": [2, 0],
        "test": [3, 1],
        "num_items": 4,
    }
    job = report["job"]
    assert (job["model"], job["seed"], job["device"]) == ("SASRec", 3, "cpu")
    assert job["settings"]["MAX_ITEM_LIST_LENGTH"] == 9
    assert report["threads"] == "2"
    assert str(tmp_path / "ours") not in report["path"]
    assert epochs == [(1, 0.1), (2, 0.2)]
    assert read_scores(folder, "test", 2, 4).shape == (2, 4)


def test_a_driver_that_fails_shows_its_last_lines(tmp_path, monkeypatch) -> None:
    code = "import sys\nprint('first')\nraise ValueError('codes are out of order')\n"
    with pytest.raises(RecBoleError, match=r"SASRec ended with code 1") as error:
        drive(tmp_path, monkeypatch, code)
    assert "ValueError: codes are out of order" in str(error.value)


def test_a_driver_without_a_report_has_failed(tmp_path, monkeypatch) -> None:
    with pytest.raises(RecBoleError, match="no message"):
        drive(tmp_path, monkeypatch, "pass\n")


def test_an_interrupted_driver_is_ended(tmp_path, monkeypatch) -> None:
    code = (
        "import json, os, sys, time\n"
        "from pathlib import Path\n"
        "(Path(sys.argv[1]).parent / 'pid').write_text(str(os.getpid()))\n"
        "print(json.dumps({'epoch': 1, 'ndcg@10': 0.0}), flush=True)\n"
        "time.sleep(300)\n"
    )

    def interrupt(epoch: int, score: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(tmp_path, monkeypatch, code, interrupt)
    with pytest.raises(OSError, match=r"."):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (None, "cannot read"),
        (np.zeros((2, 3), dtype=np.float32), r"shape \(2, 3\), expected float32 of shape \(2, 4\)"),
        (np.zeros((2, 4)), "holds float64"),
    ],
)
def test_scores_of_another_shape_or_type_are_refused(tmp_path, scores, message) -> None:
    if scores is not None:
        np.save(tmp_path / "scores-test.npy", scores)
    with pytest.raises(RecBoleError, match=message):
        read_scores(tmp_path, "test", 2, 4)


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(exchange.shutil, "disk_usage", lambda _: _Full)
    with pytest.raises(RecBoleError, match=r"0\.0 GB are free.*TMPDIR"):
        drive(tmp_path, monkeypatch, "pass\n")


class _Full:
    free = 0


def test_without_an_environment_the_way_to_one_is_told(monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(RecBoleError, match=rf"{VARIABLE}.*tox -e recbole"):
        find_recbole(None)


def test_a_python_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(RecBoleError, match=r"no Python at .*nowhere.*tox -e recbole"):
        find_recbole(tmp_path / "nowhere")


def test_an_environment_without_recbole_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, sys.executable)
    monkeypatch.setattr(exchange, "PROBE", "import recbole_of_nobody")
    with pytest.raises(RecBoleError, match=r"cannot import RecBole \(ModuleNotFoundError"):
        find_recbole(None)


def test_another_version_of_recbole_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(exchange, "PROBE", 'print(\'[{"recbole": "1.1.1"}, false]\')')
    with pytest.raises(RecBoleError, match=r"has RecBole 1\.1\.1, expected 1\.2\.1"):
        find_recbole(Path(sys.executable))


def test_a_folder_stands_for_the_python_in_it(tmp_path) -> None:
    (tmp_path / "bin").mkdir()
    with pytest.raises(RecBoleError, match=r"no Python at .*bin.python"):
        find_recbole(tmp_path)
