"""What `doctor` says of this machine and bfloat16."""

import pytest
import torch

from benchmarks.cli.doctor import machine_lines, setting_lines
from gti.model import devices


@pytest.fixture(params=["AMX", "emulated"])
def hardware(request, monkeypatch, tmp_path):
    """A machine without a GPU whose CPU has bfloat16, or has not; its cache is empty."""
    monkeypatch.setenv("GTI_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "cpu_bfloat16", lambda: request.param)
    return request.param


def test_a_cpu_runs_settings_in_bfloat16_and_says_how(hardware):
    (processor,) = [line for line in machine_lines() if line.startswith("processor")]
    own = {line.split()[0]: line for line in setting_lines()}
    runs = "runs here" if hardware == "AMX" else "runs here in float32"
    said = "by AMX" if hardware == "AMX" else "by software (cells compute in float32)"
    assert processor.endswith(f"bfloat16 {said}")
    assert f"  {runs};" in own["ml-100k-smollm2"]
    assert "  runs here;" in own["ml-100k-nano"]
