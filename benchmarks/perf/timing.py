"""Where the timings run, which clock they read there, and how their memory is counted.

`GTI_BENCH_PERF_DEVICE=cuda` takes the GPU. `GTI_BENCH_PERF_DTYPE` sets the dtype; by default it is
bfloat16 on a GPU for every backbone but `nano`, else float32.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

Clock = Callable[[], float]


def perf_device() -> torch.device:
    """The device that `GTI_BENCH_PERF_DEVICE` names; the CPU by default.

    Raises:
        RuntimeError: "cuda" where there is none.
        ValueError: neither "cpu" nor "cuda".
    """
    name = os.environ.get("GTI_BENCH_PERF_DEVICE", "cpu")
    if name not in ("cpu", "cuda"):
        raise ValueError(f'GTI_BENCH_PERF_DEVICE must be "cpu" or "cuda", found {name!r}')
    if name == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("GTI_BENCH_PERF_DEVICE=cuda, but torch sees no CUDA device here")
    return torch.device(name)


def perf_dtype(backbone: str, device: torch.device) -> str:
    """The dtype in which `backbone` is timed on `device`.

    Raises:
        ValueError: `GTI_BENCH_PERF_DTYPE` is neither "float32" nor "bfloat16".
    """
    usual = "bfloat16" if device.type == "cuda" and backbone != "nano" else "float32"
    name = os.environ.get("GTI_BENCH_PERF_DTYPE", usual)
    if name not in ("float32", "bfloat16"):
        raise ValueError(f'GTI_BENCH_PERF_DTYPE must be "float32" or "bfloat16", found {name!r}')
    return name


def clock_of(device: torch.device) -> Clock:
    """The clock to read before and after a run on `device`.

    On a CPU everything runs in one thread, so that processor time is what a run takes on a quiet
    machine. A GPU works on its own: wall time, read when it has done all that it was given.
    """
    if device.type == "cpu":
        return time.process_time

    def read() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Most bytes of tensors alive at once on `device` during `work`, above those before it."""
    if device.type == "cpu":
        return peak_tensor_bytes(work)
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def peak_tensor_bytes(work: Callable[[], object]) -> int:
    """Most bytes of CPU tensors alive at once during `work`, above those before it.

    Counted from the allocator's own events, so the number is the same on a busy machine, and
    neither Python's memory nor the allocator's reserve is in it.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events: Any = profiler.profiler.kineto_results.events()
    changes = sorted(
        (event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"
    )
    alive = peak = 0
    for _, change in changes:
        alive += change
        peak = max(peak, alive)
    return peak
