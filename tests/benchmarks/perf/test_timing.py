"""Where timings run, which clock they read and which memory they count, without a GPU."""

import time

import pytest
import torch

from benchmarks.perf.timing import clock_of, peak_bytes, perf_device, perf_dtype

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def calls(monkeypatch):
    """What is asked of a GPU, in order; 100 bytes are held on it before, 350 at the peak."""
    made: list[str] = []

    def noting(name, answer=None):
        def call(*_):
            made.append(name)
            return answer

        return call

    monkeypatch.setattr(torch.cuda, "synchronize", noting("synchronize"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", noting("allocated", 100))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", noting("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", noting("peak", 350))
    monkeypatch.setattr(time, "perf_counter", noting("read", 7.0))
    return made


def test_a_cpu_is_timed_by_what_the_process_used():
    assert clock_of(CPU) is time.process_time


def test_a_gpu_is_timed_by_the_wall_once_it_has_done_its_work(calls):
    assert clock_of(GPU)() == 7.0
    assert calls == ["synchronize", "read"]


def test_a_gpus_peak_is_counted_above_what_it_held(calls):
    assert peak_bytes(lambda: calls.append("work"), GPU) == 250
    assert calls == ["synchronize", "allocated", "reset", "work", "synchronize", "peak"]


def test_a_cpus_peak_is_that_of_tensors_alive_at_once():
    def work() -> None:
        for _ in range(4):
            torch.zeros(1 << 20, dtype=torch.uint8)

    assert 1 << 20 <= peak_bytes(work, CPU) < 1.5 * (1 << 20)


def test_the_device_is_the_cpu_unless_one_is_asked_for(monkeypatch):
    monkeypatch.delenv("GTI_BENCH_PERF_DEVICE", raising=False)
    assert perf_device() == CPU
    monkeypatch.setenv("GTI_BENCH_PERF_DEVICE", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert perf_device() == GPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no CUDA device here"):
        perf_device()
    monkeypatch.setenv("GTI_BENCH_PERF_DEVICE", "gpu")
    with pytest.raises(ValueError, match="found 'gpu'"):
        perf_device()


def test_bfloat16_is_for_larger_backbones_on_a_gpu_or_where_it_is_asked_for(monkeypatch):
    monkeypatch.delenv("GTI_BENCH_PERF_DTYPE", raising=False)
    assert perf_dtype("smollm2-135m", GPU) == "bfloat16"
    assert perf_dtype("smollm2-135m", CPU) == perf_dtype("nano", GPU) == "float32"
    monkeypatch.setenv("GTI_BENCH_PERF_DTYPE", "bfloat16")
    assert perf_dtype("nano", CPU) == "bfloat16"
    monkeypatch.setenv("GTI_BENCH_PERF_DTYPE", "half")
    with pytest.raises(ValueError, match="found 'half'"):
        perf_dtype("nano", CPU)
