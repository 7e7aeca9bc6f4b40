"""What a command is told about its cells, and the job that a worker is sent."""

import json
import os
from pathlib import Path

import pytest
import torch

from baselines.registry import methods
from benchmarks.cell.identity import method_card
from benchmarks.cell.job import Job
from benchmarks.inputs.catalogue import find_setting
from benchmarks.rerun.rerun import RerunCell
from benchmarks.run.options import CommandError, OnCluster, RunOptions
from benchmarks.run.plan import PlannedCell
from benchmarks.tune.trial import PlannedTrial
from leaderboard.records.setting import MethodParameters
from leaderboard.records.trial import TrialName


def test_null_workers_are_one_a_core_on_a_cpu_and_one_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for count, device, workers in ((0, "cpu", 3), (1, "cuda", 1), (2, "cuda", 2)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda count=count: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        found = RunOptions(results=Path("results")).resolved()
        assert (found.device, found.workers, found.num_workers) == (device, workers, workers)
    asked = RunOptions(results=Path("results"), workers=7, device="cpu").resolved()
    assert (asked.device, asked.workers) == ("cpu", 7)


def test_no_worker_at_all_is_refused():
    with pytest.raises(CommandError, match="at least 1, found 0"):
        RunOptions(results=Path("results"), workers=0, device="cpu").resolved()


def test_a_job_says_as_json_all_that_its_cell_and_the_options_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setting = find_setting("ml-100k-nano").setting
    parameters = MethodParameters(grounding_learning_rate=0.1 + 0.2)
    card = method_card(methods()["gti"], parameters)
    cell = (setting, card, 4, tmp_path / "seed-4.json", "missing")
    trial = {"stage": "sft", "number": 2}
    options = RunOptions(results=Path("own"), device="cpu", offline=True, plain=True, debug=True)
    expected = {
        "method": "gti",
        "seed": 4,
        "results": str(tmp_path / "own"),
        "device": "cpu",
        "offline": True,
        "plain": True,
        "debug": True,
        "semantic_ids": None,
        "trial": None,
    }
    for planned, own in (
        (PlannedCell(*cell), {}),
        (PlannedTrial(*cell, TrialName(**trial)), {"trial": trial}),
        (RerunCell(*cell, Path("sids.npz")), {"semantic_ids": str(tmp_path / "sids.npz")}),
    ):
        sent = json.loads(json.dumps(planned.job(options).model_dump(mode="json")))
        assert {key: sent[key] for key in expected} == {**expected, **own}
        read = Job.model_validate(sent)
        assert read.setting.hash == setting.hash
        assert read.parameters == parameters


@pytest.mark.parametrize("shared", ["results", "results/checkpoints", "other/../results"])
def test_checkpoints_of_a_cluster_are_not_put_among_results(tmp_path, shared):
    with pytest.raises(CommandError, match="lies in the results directory"):
        RunOptions(results=tmp_path / "results", cluster=OnCluster(shared=tmp_path / shared))
    RunOptions(results=tmp_path / "results", cluster=OnCluster(shared=tmp_path / "results2"))
