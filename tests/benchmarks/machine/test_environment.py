"""What a record says of the place it was made in: peak memory, stage by stage, and attention."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.cell.ledger import Ledger
from benchmarks.machine import environment
from benchmarks.machine.environment import (
    describe_environment,
    one_thread_environment,
    peak_memory_bytes,
    plain_environment,
    reset_peak_memory,
)
from gti.model import devices
from leaderboard.records.parts import Environment

ROOT = Path(__file__).resolve().parents[3]
MB = 10**6
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")

STAGES = """
import json
from benchmarks.machine.environment import peak_memory_bytes, reset_peak_memory
peaks = []
for size in (200_000_000, 1_000):
    assert reset_peak_memory()
    held = [bytes(1_000_000) for _ in range(size // 1_000_000)]
    del held
    peaks.append(peak_memory_bytes())
print(json.dumps(peaks))
"""


@linux
def test_what_a_worker_kept_of_one_stage_is_not_counted_to_the_next():
    done = subprocess.run(
        [sys.executable, "-c", STAGES],
        env={**one_thread_environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    first, second = json.loads(done.stdout)
    assert first > 200 * MB
    assert second < first - 190 * MB


@linux
def test_each_stage_of_a_ledger_has_a_peak_of_its_own():
    ledger = Ledger(torch.device("cpu"), "float32")
    ledger.enter("init")
    held = torch.ones(50 * MB, dtype=torch.float32)
    del held
    ledger.note_cost("init", 1.0)
    ledger.enter("diagnose")
    ledger.enter("score")
    ledger.note_cost("score", 1.0)
    ledger.enter("init")  # comes again, and holds less
    ledger.note_cost("init", 1.0)
    init, score = (ledger.cost[stage]["peak_memory_bytes"] for stage in ("init", "score"))
    assert init > score + 190 * MB
    assert score > 10 * MB


@linux
def test_a_system_that_forgets_no_peak_gives_the_lifetimes(monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    before = peak_memory_bytes()
    assert not reset_peak_memory()
    assert peak_memory_bytes() > before - 2**20  # the system counts in batches of pages
    monkeypatch.setattr(environment, "_status_bytes", lambda field: {}[field])
    assert peak_memory_bytes() == pytest.approx(before, rel=0.1)


def test_a_gpus_peak_is_that_of_its_tensors(monkeypatch):
    peaks = {"cuda": 70}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peaks[device.type])
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", lambda device: peaks.update({device.type: 20})
    )
    gpu = torch.device("cuda")
    assert peak_memory_bytes(gpu) == 70
    assert reset_peak_memory(gpu)
    assert peak_memory_bytes(gpu) == 20


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [("cpu", "bfloat16", "AMX"), ("cpu", "float32", None), ("cuda", "bfloat16", None)],
)
def test_what_multiplies_bfloat16_is_said_where_a_cpu_computed_in_it(
    monkeypatch, device, dtype, expected
):
    monkeypatch.setattr(devices, "cpu_bfloat16", lambda: "AMX")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    found = describe_environment(torch.device(device), dtype, deterministic=True)
    assert Environment.model_validate(found).bfloat16 == expected
    assert found["instruction_set"] == torch.backends.cpu.get_cpu_capability()


def test_an_environment_holds_what_was_computed_with():
    found = describe_environment(torch.device("cpu"), "float32", "sdpa: flash", deterministic=True)
    assert Environment.model_validate(found).attention == "sdpa: flash"
    assert Environment.model_validate(plain_environment()).attention is None
    assert found["threads"] == torch.get_num_threads()
