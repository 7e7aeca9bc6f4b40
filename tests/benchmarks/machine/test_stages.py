"""The table of a cell's life: what each stage took, from the events that a worker sends."""

import pytest

from benchmarks.machine import stages
from benchmarks.machine.stages import StageClock, stage_table
from benchmarks.run.progress import Running


@pytest.fixture
def clock(monkeypatch):
    """`clock(seconds)` lets time pass."""
    now = [100.0]
    monkeypatch.setattr(stages.time, "monotonic", lambda: now[0])

    def passing(seconds):
        now[0] += seconds

    return passing


def test_a_stage_that_comes_again_goes_on_where_it_was_left(clock):
    life = StageClock()
    for seconds, stage in ((4, "load"), (1, "sft"), (10, "curve"), (2, "sft"), (5, "score")):
        clock(seconds)
        life.enter(stage)
    clock(3)
    assert life.close() == {"start": 4, "load": 1, "sft": 15, "curve": 2, "score": 3}


def test_a_running_cell_follows_its_stages_and_not_its_progress(clock):
    cell = Running("gti seed 0")
    clock(2)
    cell.take({"event": "stage", "stage": "sft"})
    clock(6)
    cell.take({"event": "progress", "stage": "validation", "done": 1, "total": 2})
    cell.take({"event": "stage", "stage": "curve"})
    share = cell.share
    clock(1)
    cell.take({"event": "stage", "stage": "sft"})
    assert cell.share == share  # the bar never goes back
    assert cell.clock.close() == {"start": 2, "sft": 6, "curve": 1}


def test_the_table_holds_means_shares_and_what_was_done_once():
    cells = [
        {"start": 2.0, "sft": 5.0, "score": 1.0},
        {"start": 4.0, "grounding": 4.0, "sft": 3.0, "score": 1.0},
    ]
    lines = stage_table(cells, {"data": 0.5, "encoding": 40.0}).splitlines()
    found = {line[:30].strip(): line[30:].split() for line in lines[2:]}
    assert lines[0].startswith("stage, mean of 2")
    assert list(found.values()) == [
        ["3.0", "30.0%"], ["2.0", "20.0%"], ["4.0", "40.0%"], ["1.0", "10.0%"],
        ["10.0"], ["0.5"], ["40.0"],
    ]  # fmt: skip
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "start-up (process, imports)",
        "grounding",
        "SFT",
        "scoring",
        "a cell",
        "once for all: data",
        "once for all: encoding",
    ]
