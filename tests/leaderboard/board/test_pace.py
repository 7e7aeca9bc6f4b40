"""One pace for a board: medians by hand, which machine counts, equal work in equal time."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.by_hand import curve_by_hand
from leaderboard.board.board import load_leaderboards
from leaderboard.board.pace import pace_of
from leaderboard.records.parts import Cost
from leaderboard.records.record import Record, read_record
from leaderboard.render.board_tables import render
from leaderboard.render.learning import learning_note, learning_table
from leaderboard.render.sentences import pace_note


def timed(path: Path, stages: dict[str, tuple[float | None, float]], **where: Any) -> Record:
    """The record of `path` with other FLOPs and seconds, and perhaps another environment."""
    record = read_record(path)
    cost = {
        stage: record.cost["sft"].model_copy(update={"nominal_flops": work, "seconds": seconds})
        for stage, (work, seconds) in stages.items()
    }
    environment = record.environment.model_copy(update=where)
    return record.model_copy(update={"cost": cost, "environment": environment})


def test_a_pace_is_the_median_of_the_machine_with_the_most_cells(factory: Any) -> None:
    path = factory.write("mean", 0)
    here = [timed(path, {"sft": (100.0, seconds)}, threads=1) for seconds in (10.0, 20.0, 50.0)]
    grounded = timed(path, {"grounding": (90.0, 3.0), "sft": (100.0, 25.0)}, threads=1)
    faster = [timed(path, {"sft": (100.0, 1.0)}, threads=8) for _ in range(3)]
    pace = pace_of([*faster, *here, grounded])
    assert pace is not None
    assert pace.num_cells == 4
    assert pace.rates == {"grounding": 30.0, "sft": (5.0 + 4.0) / 2}
    assert (pace.slowest, pace.fastest) == (2.0, 10.0)
    assert "1 thread," in pace.machine


def test_without_flops_or_time_there_is_no_pace(factory: Any) -> None:
    path = factory.write("mean", 0)
    assert pace_of([]) is None
    assert pace_of([timed(path, {"sft": (None, 3.0)}), timed(path, {"sft": (1.0, 0.0)})]) is None
    assert pace_note(None) == ""


def test_a_stage_takes_its_flops_at_that_stages_pace(factory: Any) -> None:
    path = factory.write("mean", 0)
    pace = pace_of([timed(path, {"sft": (100.0, 10.0), "init": (None, 2.0)})])
    assert pace is not None
    assert pace.seconds("sft", Cost(seconds=999.0, nominal_flops=250.0)) == 25.0
    assert pace.seconds("init", Cost(seconds=2.0)) == 2.0
    assert pace.seconds("sft", Cost(seconds=999.0)) is None
    assert pace.seconds("grounding", Cost(seconds=9.0, nominal_flops=5.0)) is None


def test_equal_work_takes_equal_time_in_the_table_however_busy_the_machine(factory: Any) -> None:
    for key, seconds in (("mean", 1.0), ("random", 7.0), ("gti", 3.0)):
        curve = curve_by_hand(0.0, 0.2, flops=1e8, seconds=seconds)
        factory.write(key, 0, learning_curve=curve)
    board = load_leaderboards([factory.root]).boards[0]
    found = {each.key: each for each in board.learning}
    assert found["mean"].seconds == pytest.approx(1.0)
    assert found["random"].seconds == pytest.approx(7.0)
    costs = [read_record(factory.root / row.paths[0]).cost for row in board.rows]
    rate = costs[0]["sft"].nominal_flops / costs[0]["sft"].seconds
    assert found["mean"].paced_seconds == pytest.approx(1e9 / rate)
    assert found["random"].paced_seconds == found["mean"].paced_seconds
    before = found["gti"].paced_seconds_in_all - found["gti"].paced_seconds
    # The factory's `gti` alone grounds, so that the pace of grounding is its own.
    assert before == pytest.approx(found["gti"].seconds_in_all - found["gti"].seconds)
    assert len({line.entries["time"].text for line in learning_table(board).lines}) == 1
    assert "FLOPs at one pace" in learning_note(board)
    assert json.loads(render(board, "json"))["pace"]["num_cells"] == 3
