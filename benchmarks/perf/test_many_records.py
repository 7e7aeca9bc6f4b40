"""What reads records, on many of them: time and memory at half of them and at all.

`GTI_BENCH_RECORDS=1000 tox -e perf -- benchmarks/perf/test_many_records.py` takes 1,000 records
of 22,000 users, which need 1 GB of disk and some minutes to write; without it 80 are taken.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.many_records import Size, write_many

VERBS = {
    "verify": ("verify", "{root}"),
    "table": ("table", "--results", "{root}", "--format", "json"),
    "site": ("site", "--results", "{root}", "--out", "{root}-site"),
}
MAY_GROW = 1.15
"""Peak memory at all records over that at half of them, beside `NOISE`."""
NOISE = 32 * 2**20


@dataclass(frozen=True)
class Run:
    """What one command took.

    Attributes:
        records: how many it read.
        seconds: from start to end.
        cpu_seconds: of all its processes.
        peak: bytes, the most that any one of its processes held.
    """

    records: int
    seconds: float
    cpu_seconds: float
    peak: int


def sized() -> Size:
    """Half of what is read: twice as many settings are all."""
    records = int(os.environ.get("GTI_BENCH_RECORDS", "80"))
    methods, seeds = (20, 5) if records >= 1000 else (5, 4)
    return Size(max(1, records // (2 * methods * seeds)), methods, seeds)


def run(records: int, arguments: list[str]) -> Run:
    """Runs `gti-bench` with `arguments` on its own, and measures it."""
    command = [sys.executable, "-m", "benchmarks.perf.measured", *arguments]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found.pop("code") == 0
    return Run(records, **found)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="memory of a process is asked for by wait4")
def test_memory_does_not_grow_with_the_records(
    tmp_path: Path, benchmark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice the settings take no more memory; what they take in time is printed."""
    size, root = sized(), tmp_path / "results"
    found: dict[str, list[Run]] = {verb: [] for verb in VERBS}

    def read(records: int) -> None:
        for verb, words in VERBS.items():
            arguments = [word.format(root=root) for word in words]
            found[verb].append(run(records, arguments))

    write_many(root, size)
    read(size.cells + size.settings)
    write_many(root, size, first=size.settings)
    benchmark.pedantic(read, args=(2 * (size.cells + size.settings),), rounds=1)
    with capsys.disabled():
        print()
        for verb, runs in found.items():
            for each in runs:
                print(
                    f"  {verb}: {each.records} records of {size.users:,} users,"
                    f" {each.seconds:.1f} s ({each.cpu_seconds:.1f} s of CPU),"
                    f" {each.peak / 2**20:,.0f} MiB at most in one process"
                )
    benchmark.extra_info.update({verb: [vars(r) for r in runs] for verb, runs in found.items()})
    for half, whole in found.values():
        assert whole.peak <= MAY_GROW * half.peak + NOISE
