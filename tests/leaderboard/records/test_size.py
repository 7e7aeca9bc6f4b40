"""The committed records of the newcomer's setting are small enough to be read and kept."""

from pathlib import Path

import pytest

from benchmarks.machine.places import COMMITTED_RESULTS
from leaderboard.records.record import diagnostics_path, find_records, ranks_path

SETTING = "ml-100k-nano"
NANO = [path for path in find_records(COMMITTED_RESULTS) if path.parent.parent.name == SETTING]
LARGEST = 133_120
"""130 KiB of a cell, its ranks and diagnostics included."""
LONGEST = 1_000
"""Lines of JSON."""


@pytest.mark.skipif(not NANO, reason="no committed records of ml-100k-nano")
def test_no_record_of_the_newcomers_board_is_large() -> None:
    for path in NANO:
        files = [path, ranks_path(path), diagnostics_path(path)]
        size = sum(file.stat().st_size for file in files if Path(file).is_file())
        assert size <= LARGEST, path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, path
