"""Cells side by side: which GPU each sees, and what other runs do meanwhile."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from baselines.registry import methods
from benchmarks.cell.trial import run_trial
from benchmarks.inputs.catalogue import find_setting
from benchmarks.run import claims
from benchmarks.run import worker as worker_module
from benchmarks.run.claims import Claim, claim_path
from benchmarks.run.options import RunOptions, default_workers
from benchmarks.run.plan import plan_cells
from benchmarks.run.run import _expected, _left_line
from benchmarks.run.runner import Outcome, run_cells
from benchmarks.run.stopping import Stop
from benchmarks.tune.trial import plan_trial
from gti.model.devices import visible_gpus
from leaderboard.records.trial import TrialName


@pytest.fixture
def planned(write_setting, tmp_path):
    """Three cells of the tiny setting, all missing, and the results directory."""
    file, results = find_setting(str(write_setting(tmp_path))), tmp_path / "results"
    return plan_cells(file, [methods()["mean"]], [0, 1, 2], results), results


@pytest.fixture
def started(monkeypatch):
    """Every worker process that is started, with its environment: pairs."""
    found, popen = [], subprocess.Popen

    def note(command, **options):
        process = popen(command, **options)
        if "benchmarks.cell.worker" in command:
            found.append((process, options["env"]))
        return process

    monkeypatch.setattr(worker_module.subprocess, "Popen", note)
    return found


@pytest.fixture
def gpus(monkeypatch):
    """`gpus(count)`: torch says that it sees so many."""

    def make(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return make


@pytest.mark.parametrize(
    ("count", "inherited", "expected"),
    [
        (3, None, ["0", "1", "2"]),
        (2, "4, 6", ["4", "6"]),
        (2, "GPU-8f1a,MIG-77,-1,3", ["GPU-8f1a", "MIG-77"]),
        (1, "5", ["5"]),
        (0, "", []),
        (0, None, []),
    ],
)
def test_gpus_are_named_as_the_inherited_list_has_them(
    gpus, monkeypatch, count, inherited, expected
):
    gpus(count)
    if inherited is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert visible_gpus() == expected
    assert default_workers("cuda") == max(1, count)
    assert RunOptions(results=Path("results"), device="cpu").gpus == []


def test_each_worker_sees_one_gpu_and_they_are_spread_evenly(gpus, monkeypatch, planned, started):
    gpus(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    cells, results = planned
    options = RunOptions(results=results, offline=True).resolved()
    assert (options.device, options.workers) == ("cuda", 2)
    outcome = run_cells(cells, options)
    seen = [environment["CUDA_VISIBLE_DEVICES"] for _, environment in started]
    assert seen[:2] == ["4", "6"]
    assert len(seen) == 3
    assert seen[2] in ("4", "6")  # whichever was free first
    assert outcome.left == []  # where there are no such GPUs each worker says so and ends


def test_a_run_that_is_to_end_starts_nothing(planned, started):
    cells, results = planned
    stop = Stop()
    stop.reason = "time"
    options = RunOptions(results=results, device="cpu", workers=1, offline=True)
    outcome = run_cells(cells, options, stop=stop)
    assert (outcome.failures, outcome.left, started) == ([], cells, [])


def test_no_cell_starts_that_will_not_end_in_time(planned, started):
    cells, results = planned
    stop = Stop(3000.0)
    stop.began -= 2000.0
    options = RunOptions(results=results, device="cpu", workers=2, offline=True)
    outcome = run_cells(cells, options, prior=1500.0, stop=stop, shared=True)
    assert (outcome.failures, outcome.left, started) == ([], cells, [])
    assert not list(results.rglob("*.running"))


def test_what_is_left_is_one_line_that_says_why(planned):
    cells, _ = planned
    stop = Stop(3000.0)
    line = _left_line(Outcome([], cells * 3), 3000.0, stop)
    assert line.startswith("no other cell can start and end within 50")
    assert "; 9 cells left: mean seed 0, mean seed 1, mean seed 2, " in line
    assert " and 3 more; the same command goes on with them" in line
    for reason, words in (("time", "stopped after 50"), ("signal", "ended by SIGTERM; 3 cells")):
        stop.reason = reason
        assert _left_line(Outcome([], cells), 3000.0, stop).startswith(words)
    line = _left_line(Outcome([], cells, "no node is left"), None, stop)
    assert line.startswith("no node is left; 3 cells left: ")


def test_how_long_a_cell_takes_is_asked_where_there_is_a_time_and_nothing_to_go_by(planned):
    cells, results = planned
    setting, asked = cells[0].setting, []

    def expect(*about):
        asked.append(about)
        return 77.0

    for stop_after, plain, expected in ((None, False, None), (60.0, True, None), (60.0, False, 77)):
        options = RunOptions(results=results, device="cpu", plain=plain, stop_after=stop_after)
        assert _expected(setting, "the data", options, expect) == expected
    assert asked == [(setting, "the data", "cpu")]


def test_a_cell_that_another_run_did_meanwhile_is_not_done_again(planned, started, cell_here):
    cells, results = planned
    setting = results.parent / "tiny.toml"
    assert cell_here(setting, "mean", results) == cells[0].path
    before = cells[0].path.read_bytes()
    cells[1].path.write_text("{}", encoding="utf-8")  # no record of this cell
    options = RunOptions(results=results, device="cpu", workers=2, offline=True)
    outcome = run_cells(cells[:2], options, shared=True)
    assert cells[0].path.read_bytes() == before
    assert (started, outcome.left) == ([], [])
    (failure,) = outcome.failures
    assert failure.cell == cells[1]
    assert str(cells[1].path) in failure.message
    assert "--replace" in failure.message
    assert not list(results.rglob("*.running"))


def test_tune_shares_its_trials_with_another_tune(planned, started, spec_of, tmp_path):
    """One trial the other has done meanwhile, the other it works on: nothing is done twice."""
    cells, results = planned
    setting, mean, parameters = cells[0].setting, methods()["mean"], cells[0].card.parameters
    names = [TrialName(stage="sft", number=number) for number in (1, 2)]
    trials = [plan_trial(setting, mean, parameters, 100, name, results) for name in names]
    path = run_trial(spec_of(tmp_path / "tiny.toml", "mean", 100), names[0], results)
    assert path == trials[0].path
    before = path.read_bytes()
    claim = Claim.take(trials[1].path)
    options = RunOptions(results=results, device="cpu", workers=2, offline=True)
    outcome = run_cells(trials, options, stop=Stop(60.0), shared=True)
    assert (outcome.failures, outcome.left, started) == ([], [trials[1]], [])
    assert path.read_bytes() == before
    claim.release()


def test_a_worker_ends_whose_claim_another_run_has_taken_over(planned, started, monkeypatch):
    cells, results = planned
    own, theirs = claim_path(cells[0].path), json.dumps({"pid": "another's"}).encode()
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.0)
    popen = worker_module.subprocess.Popen

    def take_over(command, **options):
        process = popen(command, **options)
        own.write_bytes(theirs)
        return process

    monkeypatch.setattr(worker_module.subprocess, "Popen", take_over)
    options = RunOptions(results=results, device="cpu", workers=1, offline=True)
    # With a time the run does not wait for the other one.
    outcome = run_cells(cells[:1], options, shared=True, stop=Stop(1e6))
    assert (outcome.failures, outcome.left) == ([], cells[:1])
    assert own.read_bytes() == theirs
    ((process, _),) = started
    assert process.returncode is not None
