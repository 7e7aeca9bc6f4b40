"""Honest made-up records: a writer of them, a whole board, and NLL beside made-up ranks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import give_ranks
from benchmarks.perf.honest_records.settings import setting_of
from benchmarks.perf.honest_records.writer import RecordWriter
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path
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


@pytest.fixture
def give_nll() -> Callable[..., Path]:
    """Gives a written cell NLL of its targets: drawn per user, higher by `shift` in the mean."""

    def give(path: Path, shift: float = 0.0) -> Path:
        ranks = read_ranks(ranks_path(path))
        generator = np.random.default_rng(list(str(path.relative_to(path.parents[2])).encode()))
        trie = 5 + shift + generator.normal(0, 0.2, len(ranks))
        return give_ranks(path, dataclasses.replace(ranks, trie_nll=trie, nll=trie + 0.5))

    return give
