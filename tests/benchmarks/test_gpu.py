"""Whole cells on a GPU in bfloat16 with chat prompts: their records, again, and after a kill."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from leaderboard.records.record import ranks_path, read_record
from leaderboard.verify.verify import verify

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
ROOT = Path(__file__).resolve().parents[2]
DEVICE = "cuda"
METHODS = ("mean", "gti", "lc_rec")


@pytest.fixture(scope="module")
def setting(tmp_path_factory, write_setting, tiny_qwen3):
    """The tiny setting with a model of Qwen3's shape, in bfloat16."""
    folder = tmp_path_factory.mktemp("setting")
    path = write_setting(folder, style="chat", dtype='"bfloat16"', validation_users="4")
    path.write_text(path.read_text().replace('name = "nano"', f'name = "{tiny_qwen3}"'))
    return path


def command(setting, results, methods):
    return [
        "run", setting, "--methods", ",".join(methods), "--seeds", "0", "--workers", "1",
        "--device", DEVICE, "--offline", "--results", results,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def results(setting, gti_bench, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells") / "results"
    done = gti_bench(*command(setting, folder, METHODS))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def record_of(results, method):
    return results / "tiny" / method / "seed-0.json"


def test_records_verify_and_say_that_a_gpu_computed_in_bfloat16(results):
    assert [finding for finding in verify(results) if finding.level == "error"] == []
    for method in METHODS:
        record = read_record(record_of(results, method))
        assert (record.environment.device, record.environment.dtype) == (DEVICE, "bfloat16")
        assert record.metrics["test"]["ndcg@10"] > 0
        assert record.cost["sft"].last_loss < record.cost["sft"].first_loss
        assert not [line for line in record.warnings if line.startswith(("dtype", "score"))]


def test_a_cell_runs_again_to_the_same_bits(results, gti_bench):
    done = gti_bench("rerun", record_of(results, "gti"), "--offline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exactly" in done.stdout


def test_a_killed_cell_goes_on_from_its_checkpoint_to_the_same_bits(
    setting, results, gti_bench, lasting, tmp_path
):
    own = tmp_path / "results"
    words = [sys.executable, "-m", "benchmarks.cli.app", *command(setting, own, ["gti"])]
    run = subprocess.Popen(
        [str(word) for word in words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mark = record_of(own, "gti").with_suffix(".checkpoint") / "checkpoint.json"
    while not mark.exists() and run.poll() is None:
        time.sleep(0.05)
    run.kill()
    run.wait()
    assert not record_of(own, "gti").exists()
    done = gti_bench(*command(setting, own, ["gti"]))
    assert done.returncode == 0, done.stderr
    assert "goes on from its checkpoint" in done.stderr
    found, expected = record_of(own, "gti"), record_of(results, "gti")
    assert lasting(found) == lasting(expected)
    assert ranks_path(found).read_bytes() == ranks_path(expected).read_bytes()
