"""Many records, here a few: honest, with boards and contrasts, and users of each setting's own."""

from pathlib import Path

import pytest

from benchmarks.perf.many_records import main, method_keys
from leaderboard.board.board import load_leaderboards
from leaderboard.board.contrasts import load_contrasts
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import find_records, ranks_path
from leaderboard.verify.verify import verify


def test_as_many_as_were_asked_for_are_written_and_verify_finds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(tmp_path), "--settings", "2", "--methods", "4", "--seeds", "1", "--users", "40"])
    assert capsys.readouterr().out == f"8 cells of 40 users under {tmp_path}\n"
    assert len(list(find_records(tmp_path))) == 2 * (4 + 1)
    assert verify(tmp_path) == []
    boards = load_leaderboards([tmp_path]).boards
    assert [board.setting.name for board in boards] == ["many-00", "many-01"]
    for board in boards:
        assert {row.key for row in board.rows} == {*method_keys(4), "popularity"}
    found, _ = load_contrasts([[tmp_path]], "many-00")
    assert [(each.contrast.a, each.contrast.b) for each in found.answers] == [
        ("gti", "mean"),
        ("random", "mean"),
    ]
    paths = [ranks_path(tmp_path / name / "mean/seed-0.json") for name in ("many-00", "many-01")]
    one, two = (set(read_ranks(path).user.tolist()) for path in paths)
    assert len(one) == len(two) == 40
    assert not one & two
