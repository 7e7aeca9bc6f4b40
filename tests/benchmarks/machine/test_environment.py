"""What a record says of the place it was made in: peak memory, stage by stage, and attention."""

import json
import os
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


HUGE = """
import json
from pathlib import Path
held = bytearray(50_000_000)
mappings = Path("/proc/self/smaps").read_text(encoding="ascii").split("[heap]")[1]
flags = next(line for line in mappings.splitlines() if line.startswith("VmFlags:"))
print(json.dumps("hg" in flags.split()))
"""


def gives_huge_pages_on_request():
    """Whether Linux gives huge pages to those who ask, and glibc can be told to."""
    try:
        enabled = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
        library = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return False
    version = tuple(int(part) for part in library.removeprefix("glibc ").split(".") if part)
    return "[madvise]" in enabled and version >= (2, 35)


@pytest.mark.skipif(not gives_huge_pages_on_request(), reason="no huge pages on request here")
@pytest.mark.parametrize("asked", [True, False])
def test_what_a_worker_keeps_lies_in_huge_pages(asked, monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)  # one's own would hold
    variables = one_thread_environment()
    if not asked:
        del variables["GLIBC_TUNABLES"]
    done = subprocess.run(
        [sys.executable, "-c", HUGE],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout) is asked


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
