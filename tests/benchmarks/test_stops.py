"""Runs that end early, and runs that share a results directory: no cell lost, none done twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leaderboard.records.record import ranks_path

ROOT = Path(__file__).resolve().parent.parent.parent
METHODS, SEEDS = ("mean", "random"), (0, 1)

COUNTED = """
import os, sys
if sys.orig_argv[1:3] == ["-m", "benchmarks.cell.worker"]:
    with open(os.environ["GTI_TEST_STARTS"], "a") as file:
        file.write("worker\\n")
"""
"""Python runs it when a process starts: a line for each worker."""


def command(setting: Path, results: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "benchmarks.cli.app", "run", str(setting), "--results", str(results),
        "--methods", ",".join(METHODS), "--offline", *more,
    ]  # fmt: skip


def start(arguments: list[str], folder: Path) -> "subprocess.Popen[str]":
    """Runs them with worker starts counted in `folder`; what it prints goes to pipes."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(COUNTED)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "GTI_TEST_STARTS": str(folder / "starts"),
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, env=environment)


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text().splitlines())


def cells(results: Path) -> list[Path]:
    return [results / "tiny" / method / f"seed-{seed}.json" for method in METHODS for seed in SEEDS]


def assert_same(results: Path, whole: Path, lasting) -> None:
    for found, expected in zip(cells(results), cells(whole), strict=True):
        assert lasting(found) == lasting(expected)
        assert ranks_path(found).read_bytes() == ranks_path(expected).read_bytes()
    assert not list(results.rglob("*.running"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_setting):
    """The setting's file, and the results of one undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    setting = write_setting(folder, passes="0.5", validation_users="4")
    with start(command(setting, folder / "results", "--workers", "1"), folder / "own") as run:
        _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    assert starts(folder / "own") == 4
    return setting, folder / "results"


def test_two_runs_on_one_directory_share_the_cells(whole, lasting, gti_bench, tmp_path):
    setting, undisturbed = whole
    results, own = tmp_path / "results", tmp_path / "own"
    arguments = command(setting, results, "--workers", "1")
    with start(arguments, own) as one, start(arguments, own) as other:
        said = [run.communicate(timeout=300) for run in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert starts(own) == 4
    assert_same(results, undisturbed, lasting)
    for out, _ in said:  # both wait for the whole board
        assert all(method in out for method in METHODS)
    checked = gti_bench("verify", results)
    assert checked.returncode == 0, checked.stdout


def test_a_run_in_pieces_ends_with_the_records_of_one_run(whole, lasting, tmp_path):
    setting, undisturbed = whole
    results, seconds, pieces = tmp_path / "results", 1, []
    while not pieces or " cells left: " in pieces[-1]:
        arguments = command(setting, results, "--workers", "2", "--stop-after", f"{seconds}s")
        with start(arguments, tmp_path / "own") as run:
            out, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors
        pieces.append(out)
        seconds *= 4
    assert len(pieces) > 1
    assert "; the same command goes on with them" in pieces[0]
    assert "seed 0" in pieces[0]
    assert_same(results, undisturbed, lasting)


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGTERM to catch")
def test_a_run_that_is_told_to_end_says_what_is_left_and_goes_on_from_it(
    whole, lasting, gti_bench, tmp_path
):
    setting, undisturbed = whole
    results = tmp_path / "results"
    again = command(setting, results, "--workers", "1")
    with start(again, tmp_path / "own") as run:
        assert "ndcg@10" in run.stderr.readline()  # the first finished cell
        run.send_signal(signal.SIGTERM)
        out, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert "ended by SIGTERM; " in out
    assert " cells left: " in out
    assert "failed" not in out
    assert not list(results.rglob("*.running"))
    assert gti_bench("verify", results).returncode == 0
    begun = starts(tmp_path / "own")
    done = [path for path in cells(results) if path.exists()]
    kept = [path for path in cells(results) if path.with_suffix(".checkpoint").exists()]
    # What was under way is not lost; a cell that was still being loaded has nothing to lose.
    assert begun - 1 <= len(done) + len(kept) <= begun
    with start(again, tmp_path / "own") as run:
        _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    assert errors.count("goes on from its checkpoint") == len(kept)
    assert_same(results, undisturbed, lasting)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a claim counts for minutes")
def test_the_claims_of_a_run_that_was_killed_are_in_nobodys_way(
    whole, lasting, gti_bench, tmp_path
):
    setting, undisturbed = whole
    results = tmp_path / "results"
    with start(command(setting, results, "--workers", "1"), tmp_path / "own") as run:
        assert "ndcg@10" in run.stderr.readline()
        while not list(results.rglob("*.running")):
            assert run.poll() is None
        run.kill()
    (left,) = results.rglob("*.running")
    assert not left.with_suffix(".json").exists()
    shown, checked = gti_bench("table", "--results", results), gti_bench("verify", results)
    assert (shown.returncode, checked.returncode) == (0, 0), checked.stdout
    assert left.name not in checked.stdout
    with start(command(setting, results, "--workers", "2"), tmp_path / "own") as again:
        _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert_same(results, undisturbed, lasting)


def test_what_is_no_time_is_refused_in_one_line(gti_bench):
    refused = gti_bench("run", "ml-100k-nano", "--stop-after", "soon")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert all(part in line for part in ("--stop-after", "'soon'", "90s, 50m or 2h"))
