"""Shared by the timings: one thread, the backbones, and the table of ratios at the end."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from benchmarks.perf.grown import BACKBONES, Grown, load_grown
from benchmarks.perf.side_by_side import SideBySide
from benchmarks.perf.timing import perf_device

_RESULTS = pytest.StashKey[SideBySide]()


@pytest.fixture(scope="session", autouse=True)
def _as_in_a_worker() -> Iterator[None]:
    """One thread and deterministic kernels, as cells run."""
    # Read when a GPU first multiplies; without it deterministic kernels are refused there.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where everything runs."""
    return perf_device()


@pytest.fixture(scope="session", params=BACKBONES)
def grown(request: pytest.FixtureRequest, device: torch.device) -> Grown:
    """Each backbone that is asked for; loaded once."""
    return load_grown(name=request.param, device=device)


@pytest.fixture(scope="session")
def side_by_side(request: pytest.FixtureRequest, device: torch.device) -> SideBySide:
    """Collects the comparisons of this session."""
    return request.config.stash.setdefault(_RESULTS, SideBySide(device))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the table of ratios."""
    collected = config.stash.get(_RESULTS, None)
    if collected is None or not collected.results:
        return
    clock = "processor time of one thread" if collected.device.type == "cpu" else "wall time"
    terminalreporter.section(f"both ways in this run, best round by {clock}")
    for line in collected.table():
        terminalreporter.write_line(line)
