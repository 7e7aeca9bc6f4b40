"""What `gti-bench table` says where it cannot show the board that was asked for."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.settings import setting_of
from benchmarks.perf.honest_records.writer import RecordWriter
from leaderboard.board.board import load_leaderboards, mark_same_names
from leaderboard.render.sentences import title

SMALLEST = "toy"


@pytest.fixture(autouse=True)
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up records of two settings in place of the committed ones."""
    writer = RecordWriter(tmp_path / "committed")
    writer.board(("mean", "random", "popularity"), seeds=(0, 1))
    writer.write("mean", setting=setting_of(name="another"))
    monkeypatch.setattr("benchmarks.cli.reporting.COMMITTED_RESULTS", writer.root)
    return writer.root


@pytest.fixture
def copied(committed: Path, tmp_path: Path) -> Path:
    """A copy of the committed records of the smallest setting, as one's own."""
    shutil.copytree(committed / SMALLEST, tmp_path / "own" / SMALLEST)
    return tmp_path / "own"


@pytest.mark.parametrize(
    ("folder", "told"), [("empty", "no records of"), ("absent", "no results directory, so no")]
)
def test_a_directory_without_records_is_said_before_the_committed_board(
    folder: str, told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    asked = tmp_path / folder
    assert exit_code(["table", SMALLEST, "--results", str(asked)]) == 1
    shown = capfd.readouterr()
    (line,) = shown.err.splitlines()
    assert told in line
    assert str(asked) in line
    assert shown.out.startswith(f"Your records ({asked}): no board.\n")
    assert "Committed records" in shown.out


def test_without_records_of_ones_own_the_committed_board_is_no_surprise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(["table", SMALLEST]) == 0
    shown = capfd.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("Committed records")


def test_a_metric_that_no_setting_is_scored_at_is_one_line_with_every_setting(
    committed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(["table", "--metric", "ndcg@7"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.count("not scored at ndcg@7") == 1
    names = {path.parts[-3] for path in committed.glob("*/*/seed-*.json")}
    told = re.findall(r"\(([^)]*)\)", line)
    assert sorted(name for group in told for name in group.split(", ")) == sorted(names)
    assert exit_code(["table", SMALLEST, "--metric", "ndcg@7"]) == 2
    assert f"setting {SMALLEST} is not scored at ndcg@7" in capfd.readouterr().err


def test_a_refused_board_is_told_before_anything_that_looks_like_the_answer(
    copied: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in copied.glob("*/mean/seed-*.json"):
        path.write_text("{")
    order: list[str] = []
    monkeypatch.setattr("benchmarks.cli.reading.say", lambda text: order.append("out"))
    monkeypatch.setattr(
        "builtins.print", lambda *parts, **kept: order.append("err" if "file" in kept else "out")
    )
    assert exit_code(["table", SMALLEST, "--results", str(copied)]) == 1
    assert order == sorted(order)
    assert {"err", "out"} == set(order)


def test_boards_of_one_name_and_two_hashes_tell_them_in_their_headings(committed: Path) -> None:
    (board,) = load_leaderboards([committed], setting=SMALLEST).boards
    other = replace(board, setting_hash="f" * 64)
    assert [title(each) for each in mark_same_names([board, board])] == [title(board)] * 2
    one, two = (title(each) for each in mark_same_names([board, other]))
    assert one.startswith(f"{SMALLEST} ({board.setting_hash[:8]}) · ")
    assert two.startswith(f"{SMALLEST} ({'f' * 8}) · ")


def test_structures_figures_go_to_figures_here_and_never_where_records_are(
    tmp_path: Path,
    committed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    factory = RecordWriter(tmp_path / "results")
    factory.board({"popularity": 0.4, "gti": 0.9, "mean": 0.9}, seeds=(0,))
    before = sorted(factory.root.rglob("*"))
    monkeypatch.chdir(tmp_path)
    read = ["structure", "--results", str(factory.root)]
    assert exit_code(read) == 0
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == ["structure.pdf", "structure.png", "structure.svg"]
    capfd.readouterr()
    for folder in (factory.root / "figures", committed):
        assert exit_code([*read, "--out", str(folder)]) != 0
        (line,) = capfd.readouterr().err.splitlines()
        assert str(folder) in line
        assert "choose another folder" in line
    assert sorted(factory.root.rglob("*")) == before
