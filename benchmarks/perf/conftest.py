"""Shared by the timings: one thread, one backbone, and the table of ratios at the end."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from benchmarks.perf.nano import NanoSetup, load_nano
from benchmarks.perf.side_by_side import SideBySide

_RESULTS = pytest.StashKey[SideBySide]()


@pytest.fixture(scope="session", autouse=True)
def _as_in_a_worker() -> Iterator[None]:
    """One thread and deterministic kernels, as cells run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def nano() -> NanoSetup:
    """The grown backbone; loaded once."""
    return load_nano()


@pytest.fixture(scope="session")
def side_by_side(request: pytest.FixtureRequest) -> SideBySide:
    """Collects the comparisons of this session."""
    return request.config.stash.setdefault(_RESULTS, SideBySide())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the table of ratios."""
    collected = config.stash.get(_RESULTS, None)
    if collected is None or not collected.results:
        return
    terminalreporter.section("both ways in this run, one thread, best round by processor time")
    for line in collected.table():
        terminalreporter.write_line(line)
