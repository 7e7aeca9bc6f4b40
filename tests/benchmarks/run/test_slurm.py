"""An array of jobs under a real SLURM, with the script of docs/cluster.md; one job is pre-empted.

Runs where GTI_BENCH_SLURM names two partitions, "low,high": jobs of the second pre-empt those of
the first, which are requeued (`PreemptMode=REQUEUE`), and each node has two cores or more.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.perf.kills import differences

PARTITIONS = os.environ.get("GTI_BENCH_SLURM", "")
ROOT = Path(__file__).resolve().parents[3]
METHODS = "mean,gti,lc_rec"
WAIT_SECONDS = 1200.0

pytestmark = pytest.mark.skipif(
    not PARTITIONS or shutil.which("sbatch") is None,
    reason="needs SLURM, and GTI_BENCH_SLURM=low,high with the names of its partitions",
)


def slurm(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def until(there, seconds=WAIT_SECONDS):
    end = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < end, slurm("squeue", "-a", "-o", "%i %P %T %r")
        time.sleep(0.3)
    return found


def script_of_the_docs(setting: Path, results: Path, low: str) -> str:
    """What docs/cluster.md tells people to submit, with another setting and no GPU."""
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", text, re.DOTALL)
    changes = {
        "#SBATCH --gpus=1\n": f"#SBATCH --partition={low}\n",
        "--cpus-per-task=4": "--cpus-per-task=1",
        "--mem=24G": "--mem=0",
        "gti-bench run": f"{sys.executable} -m benchmarks.cli.app run",
        "scientific-search-smollm2": str(setting),
        "--methods all": f"--methods {METHODS} --seeds 0,1 --workers 1 --shard slurm",
        "/shared/results": str(results),
    }
    for old, new in changes.items():
        assert old in script, old
        script = script.replace(old, new)
    return script


def test_an_array_of_four_with_one_pre_empted_gives_the_records_of_one_run(
    write_setting, gti_bench, tmp_path, monkeypatch
):
    low, high = PARTITIONS.split(",")
    setting = write_setting(tmp_path, passes="6.0", validation_users="4")
    whole, results = tmp_path / "whole", tmp_path / "results"
    done = gti_bench("run", setting, "--methods", METHODS, "--seeds", "0,1", "--results", whole)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    Path("array.sh").write_text(script_of_the_docs(setting, results, low), encoding="utf-8")
    job = slurm("sbatch", "--parsable", "array.sh")
    # While a cell trains, a job comes that is worth more and takes what the array has.
    until(lambda: list(results.glob("tiny/*/seed-*.running")))
    first = until(lambda: re.findall(r"(\S+) RUNNING", slurm("squeue", "-h", "-o", "%i %T")))
    slurm("sbatch", "-p", high, "--exclusive", "--wrap", "sleep 3", "-o", "high.out")
    until(lambda: re.search(r"Restarts=[1-9]", slurm("scontrol", "show", "job", first[0])))
    until(lambda: not slurm("squeue", "-h", "-j", job))
    told = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob(f"slurm-{job}_*"))
    assert "ended by SIGTERM; " in told
    assert "goes on from its checkpoint" in told
    for method in METHODS.split(","):
        for seed in (0, 1):
            own, other = (each / "tiny" / method / f"seed-{seed}.json" for each in (results, whole))
            assert differences(own, other) == []
