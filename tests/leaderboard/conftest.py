"""Honest made-up records: a writer of them, and a whole board."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.perf.honest_records.settings import setting_of
from benchmarks.perf.honest_records.writer import RecordWriter
from leaderboard.records.setting import Setting


@pytest.fixture
def factory(tmp_path: Path) -> RecordWriter:
    """Writes under a fresh directory."""
    return RecordWriter(tmp_path / "results")


@pytest.fixture(scope="session")
def whole_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with four methods at three seeds and two references; read only."""
    return RecordWriter(tmp_path_factory.mktemp("board") / "results").board()


@pytest.fixture(scope="session")
def toy_setting() -> Callable[..., Setting]:
    """Makes the toy setting with changed top-level fields."""
    return setting_of
