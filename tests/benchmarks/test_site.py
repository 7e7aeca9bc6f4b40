"""`gti-bench site`, from the command line."""

from pathlib import Path

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.writer import RecordWriter


def test_the_committed_records_make_a_site_where_there_are_none_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    committed = RecordWriter(tmp_path / "committed").board(("mean", "popularity"), seeds=(0,))
    monkeypatch.setattr("benchmarks.cli.reporting.COMMITTED_RESULTS", committed)
    monkeypatch.chdir(tmp_path)
    assert exit_code(["site"]) == 0
    assert "open site/index.html" in capsys.readouterr().out.replace("\\", "/")
    names = {path.stem for path in (tmp_path / "site" / "settings").iterdir()}
    assert names == {"toy"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "empty"], "no records under empty"),
        (["--results", "absent"], "no results directory absent"),
        (["--out", "mine"], "mine is not empty and was not made by `gti-bench site`"),
    ],
)
def test_an_empty_folder_a_missing_one_and_a_foreign_target_are_one_clear_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert exit_code(["site", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
