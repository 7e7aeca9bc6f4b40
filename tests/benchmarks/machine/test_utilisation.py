"""The rate that utilisation is measured against."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks.cell.ledger import Ledger
from benchmarks.machine import utilisation
from benchmarks.machine.utilisation import PUBLISHED, device_flops
from gti.train.training import StageReport


def test_a_gpu_has_its_published_rate_and_an_unlisted_one_none(monkeypatch):
    names = iter(["NVIDIA H200", "NVIDIA H200", "a GPU of tomorrow"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: next(names))
    gpu = SimpleNamespace(type="cuda")
    assert device_flops(gpu, "bfloat16") == 989.4e12
    assert device_flops(gpu, "float32") == 66.9e12
    assert device_flops(gpu, "bfloat16") is None
    assert all(set(rates) == {"bfloat16", "float32"} for rates in PUBLISHED.values())


def test_a_cpus_rate_is_that_of_a_product():
    assert 1e7 < device_flops(torch.device("cpu"), "float32") < 1e15


@pytest.fixture
def probes(monkeypatch):
    """Rates that a busy machine shows one after another, in a process that has seen none."""
    rates = iter([4e10, 2e10, 9e10, 5e10, 5e10])
    monkeypatch.setattr(utilisation, "LARGEST", {})
    monkeypatch.setattr(utilisation, "product_flops", lambda dtype: next(rates))


def test_of_a_cpus_rates_the_largest_so_far_counts_each_dtype_by_itself(probes):
    cpu = torch.device("cpu")
    assert [device_flops(cpu, "float32") for _ in range(4)] == [4e10, 4e10, 9e10, 9e10]
    assert device_flops(cpu, "bfloat16") == 5e10


def test_the_rate_is_measured_before_and_after_a_training_stage(probes):
    ledger = Ledger(torch.device("cpu"), "float32")
    done = StageReport(steps=1, tokens=9, nominal_flops=5e9, actual_flops=3e9)
    for stage in ("init", "grounding", "diagnose", "sft", "validation", "sft"):
        ledger.enter(stage)
        if stage == "grounding":
            ledger.close_stage(stage, 1.0, {}, done, [])
    ledger.close_stage("sft", 1.0, {}, done, [])
    rates = [ledger.cost[stage]["device_flops"] for stage in ("grounding", "sft")]
    assert rates == [4e10, 9e10]  # 4 before and 2 after grounding, 9 before and 5 after SFT
    assert utilisation.product_flops("float32") == 5e10  # the fifth: none in between


def test_a_stage_books_its_share_and_why_beginnings_were_not_shared():
    ledger = Ledger(torch.device("cpu"), "float32")
    done = StageReport(steps=1, tokens=9, nominal_flops=5e9, actual_flops=3e9, unshared="dropout")
    ledger.close_stage("sft", 2.0, {}, done, [])
    cost = ledger.cost["sft"]
    assert cost["utilisation"] == pytest.approx(1.5e9 / cost["device_flops"])
    (warning,) = ledger.warnings
    assert warning.startswith("sft: ")
    assert warning.endswith("dropout")
