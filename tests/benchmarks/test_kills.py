"""Kills and interrupts: nothing finished is lost, and the next run goes on to the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.perf.kills import Workers, differences, rounds, table
from benchmarks.run.claims import Claim
from leaderboard.records.record import ranks_path, read_record, record_digest

ROOT = Path(__file__).resolve().parent.parent.parent
METHODS = ("gti", "lc_rec")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, write_setting, gti_bench):
    """The setting's file, and results of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    # Short, because every kill below runs a cell up to where it is killed.
    setting = write_setting(folder, passes="0.5", validation_users="4")
    done = run(gti_bench, setting, folder / "results")
    assert done.returncode == 0, done.stdout + done.stderr
    return setting, folder / "results"


def run(gti_bench, setting: Path, results: Path) -> "subprocess.CompletedProcess[str]":
    return gti_bench(
        "run", setting, "--seeds", "0", "--methods", ",".join(METHODS), "--workers", "1",
        "--results", results,
    )  # fmt: skip


def cell(results: Path, method: str) -> Path:
    return results / "tiny" / method / "seed-0.json"


def kill_at(workers: Workers, results: Path, method: str, stage: str, share: float) -> None:
    """Kills a cell of `method` when `stage` is at `share` of its length (0: its start)."""
    child, own, events = workers.start(method, results)
    with events, own:
        reached = any(is_there(json.loads(line), stage, share) for line in events)
        assert reached, f"the worker never came to {stage} {share}"
        os.kill(child, signal.SIGKILL)


def is_there(event: dict[str, object], stage: str, share: float) -> bool:
    if event.get("stage") != stage:
        return False
    return share == 0 or (event["event"] == "progress" and event["done"] >= share * event["total"])


# The beginning of every stage, and also the middle and the end of those that tell how far they are,
# in the order of a cell's life: each worker goes on where the one before it was killed.
KILLS = {
    "gti": [
        *[(stage, 0) for stage in ("start", "load", "init")],
        *[(stage, at) for stage in ("grounding", "sft") for at in (0.02, 0.5, 1)],
        ("score", 0),
        *[(stage, at) for stage in ("validation", "test") for at in (0.02, 0.5, 1)],
        ("save", 0),
    ],
    "lc_rec": [("sft", 0.5)],
}
NEEDS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and named pipes")


@NEEDS
def test_cells_that_are_killed_at_every_stage_go_on_and_end_the_same(
    undisturbed, gti_bench, lasting, tmp_path
):
    setting, whole = undisturbed
    results = tmp_path / "results"
    with Workers(setting, tmp_path, every=0.0) as workers:
        for method, points in KILLS.items():
            record = cell(results, method)
            for stage, share in points:
                kill_at(workers, results, method, stage, share)
                if record.exists():  # killed while saving, the record may just have been committed
                    assert stage == "save"
                    assert lasting(record) == lasting(cell(whole, method))
                    record.unlink()
    again = run(gti_bench, setting, results)
    assert again.returncode == 0, again.stderr
    lines = [line.split(maxsplit=3) for line in (again.stdout + again.stderr).splitlines()]
    # Of which stage depends on how far the worker came before the signal reached it.
    told = [line[3] for line in lines if line[:3] == ["lc_rec", "seed", "0"] and len(line) == 4]
    assert any(line.startswith("goes on from its checkpoint of stage ") for line in told), told
    assert [line for line in lines if line[:1] == ["checkpoints"]]  # in the table of stages
    for method in METHODS:
        assert lasting(cell(results, method)) == lasting(cell(whole, method))
        assert not cell(results, method).with_suffix(".checkpoint").exists()
    assert gti_bench("verify", results).returncode == 0


@NEEDS
@pytest.mark.parametrize("seed", range(2))
def test_cells_that_are_killed_at_random_moments_end_the_same(undisturbed, tmp_path, seed):
    setting, _ = undisturbed
    done = list(rounds(setting, METHODS, 5, tmp_path, seed=seed, every=0.0, run_rounds=0))
    assert sum(len(each.kills) for each in done) == 5
    assert {each.method: each.differences for each in done if each.differences} == {}
    fallen = {kill.stage for each in done for kill in each.kills}
    printed = table(done).splitlines()
    assert len(printed) == 2 + len(fallen) + 1
    assert printed[-1].split("|")[-3].strip() == "5"


def test_what_a_killed_cell_has_other_than_an_undisturbed_one_is_named(undisturbed, tmp_path):
    _, whole = undisturbed
    shutil.copytree(whole, tmp_path / "results")
    record, other = cell(tmp_path / "results", "gti"), cell(whole, "gti")
    assert differences(record, other) == []
    content = json.loads(record.read_text())
    content["cost"]["sft"]["seconds"] += 1  # no two runs take the same time
    record.write_text(json.dumps(content | {"digest": record_digest(content)}))
    assert differences(record, other) == []
    content["cost"]["sft"]["tokens"] += 1  # counted twice
    record.write_text(json.dumps(content | {"digest": record_digest(content)}))
    ranks_path(record).write_bytes(b"")
    record.with_suffix(".checkpoint").mkdir()
    found = ["cost", "seed-0.ranks.parquet", "left behind: seed-0.checkpoint"]
    assert differences(record, other) == found


def test_what_a_kill_left_beside_a_finished_record_is_removed_by_the_next_run(
    undisturbed, gti_bench, tmp_path
):
    setting, whole = undisturbed
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    left = []
    for method in METHODS:
        record = cell(results, method)
        left += [record.with_suffix(".checkpoint"), record.with_name(f".{record.name}.a1.tmp")]
        left[-2].mkdir()
        left[-1].touch()
    claim = Claim.take(cell(results, "lc_rec"))  # another run is there
    assert run(gti_bench, setting, results).returncode == 0
    assert [path.exists() for path in left] == [False, False, True, True]
    claim.release()
    assert run(gti_bench, setting, results).returncode == 0
    assert not any(path.exists() for path in left)
    assert differences(cell(results, "gti"), cell(whole, "gti")) == []


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.005, 0.01, 0.02])
def test_a_kill_while_saving_leaves_a_whole_record_or_none(undisturbed, tmp_path, delay):
    """The save step alone, in a process that is killed `delay` seconds after it began."""
    _, results = undisturbed
    source = cell(results, "gti")
    target = cell(tmp_path, "gti")
    script = (
        "import sys; from pathlib import Path;"
        " from leaderboard.records.canonical import write_atomically;"
        "source, target = map(Path, sys.argv[1:]); print('ready', flush=True);"
        "[write_atomically(target.with_name(f.name), f.read_bytes())"
        " for _ in range(10_000) for f in (ranks_path(source), source)]"
    ).replace("from pathlib", "from leaderboard.records.record import ranks_path; from pathlib")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(source), str(target)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.kill()
    for written, original in ((target, source), (ranks_path(target), ranks_path(source))):
        assert not written.exists() or written.read_bytes() == original.read_bytes()
    assert ranks_path(target).exists() or not target.exists()


def start_run(setting: Path, results: Path) -> "subprocess.Popen[str]":
    """The real command line, running two cells at a time, to be disturbed."""
    command = [sys.executable, "-m", "benchmarks.cli.app", "run", str(setting)]
    return subprocess.Popen(
        [*command, "--workers", "2", "--results", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GTI_TEST_RUN": str(results)},
        # A shell that runs the tests in the background has interrupts ignored; undone here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_killing_the_run_ends_its_workers_and_keeps_what_is_finished(undisturbed, tmp_path):
    setting, _ = undisturbed
    with start_run(setting, tmp_path) as run:
        assert "ndcg@10" in run.stderr.readline()  # the first finished cell
        run.kill()
    deadline, quiet_since = time.monotonic() + 60, None
    while quiet_since is None or time.monotonic() < quiet_since + 2:
        left = orphans(tmp_path)
        assert time.monotonic() < deadline, left
        # One look is not enough: what was being started at that moment has no environment to read.
        quiet_since = None if left else quiet_since or time.monotonic()
        time.sleep(0.05)
    finished_records = [read_record(p) for p in tmp_path.rglob("seed-*.json")]
    assert {record.kind for record in finished_records} == {"cell", "reference"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the closed pipe alone ends it")
def test_a_worker_whose_parent_died_before_it_asked_for_its_signal_ends_at_once():
    command = [sys.executable, "-m", "benchmarks.cell.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, cwd=ROOT) as worker:
        worker.stdin.write(json.dumps({"parent": 1}) + "\n")
        worker.stdin.flush()
        assert worker.wait(timeout=60) == 3  # its input is still open


def orphans(results: Path) -> list[str]:
    """Processes of the run into `results` whose parent is gone (Linux tells; elsewhere none)."""
    mark = f"GTI_TEST_RUN={results}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            own = mark in (entry / "environ").read_bytes().split(b"\0")
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if own and parent == "1":
            found.append(entry.name)
    return found


def test_interrupting_a_run_says_so_and_exits_130(undisturbed, tmp_path):
    setting, _ = undisturbed
    with start_run(setting, tmp_path) as run:
        assert "cells to run" in run.stdout.readline()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "interrupted" in errors
