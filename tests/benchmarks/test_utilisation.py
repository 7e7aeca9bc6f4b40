"""The rate that utilisation is measured against."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks.ledger import Ledger
from benchmarks.utilisation import PUBLISHED, device_flops
from gti.training import StageReport


def test_a_gpu_has_its_published_rate_and_an_unlisted_one_none(monkeypatch):
    names = iter(["NVIDIA H200", "NVIDIA H200", "a GPU of tomorrow"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: next(names))
    gpu = SimpleNamespace(type="cuda")
    assert device_flops(gpu, "bfloat16") == 989.4e12
    assert device_flops(gpu, "float32") == 66.9e12
    assert device_flops(gpu, "bfloat16") is None
    assert all(set(rates) == {"bfloat16", "float32"} for rates in PUBLISHED.values())


def test_a_cpus_rate_is_measured_once_in_a_process():
    cpu = torch.device("cpu")
    found = device_flops(cpu, "float32")
    assert 1e7 < found < 1e15
    assert device_flops(cpu, "float32") == found


def test_a_stage_books_its_share_and_why_beginnings_were_not_shared():
    ledger = Ledger(torch.device("cpu"), "float32")
    done = StageReport(steps=1, tokens=9, nominal_flops=5e9, actual_flops=3e9, unshared="dropout")
    ledger.close_stage("sft", 2.0, {}, done, [])
    cost = ledger.cost["sft"]
    assert cost["utilisation"] == pytest.approx(1.5e9 / cost["device_flops"])
    (warning,) = ledger.warnings
    assert warning.startswith("sft: ")
    assert warning.endswith("dropout")
