"""Claims on cells: one run has each, and none that a dead run left is in the way."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.run import claims
from benchmarks.run.claims import STALE_SECONDS, Claim, claim_path, holder
from leaderboard.records.record import find_records


@pytest.fixture
def record(tmp_path):
    return tmp_path / "tiny" / "mean" / "seed-0.json"


def left_behind(record, age=0.0, **changes):
    """A claim beside `record` as a run left it, with `changes`, last renewed `age` seconds ago."""
    claim = Claim.take(record)
    fields = {**json.loads(claim.content), **changes}
    claim.path.write_text(json.dumps(fields), encoding="utf-8")
    then = time.time() - age
    os.utime(claim.path, (then, then))


@pytest.fixture(scope="module")
def gone():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_one_run_has_a_cell_until_it_releases_it(record):
    first = Claim.take(record)
    assert first is not None
    assert Claim.take(record) is None
    assert f"process {os.getpid()} on " in holder(record)
    first.release()
    assert not claim_path(record).exists()
    assert Claim.take(record) is not None


def test_other_cells_stay_free(record):
    assert Claim.take(record) is not None
    assert Claim.take(record.with_name("seed-1.json")) is not None


def test_a_claim_of_a_process_that_is_gone_does_not_count(record, gone):
    left_behind(record, pid=gone, born=None)
    assert Claim.take(record) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells when one started")
def test_nor_one_whose_process_number_another_has_by_now(record):
    left_behind(record, born=1)
    assert Claim.take(record) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells that it has ended")
def test_nor_one_of_a_killed_process_that_nobody_has_waited_for(record):
    command = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        left_behind(record, pid=process.pid, born=None)
        assert Claim.take(record) is None
        process.kill()
        until = time.monotonic() + 60
        while (taken := Claim.take(record)) is None and time.monotonic() < until:
            time.sleep(0.01)
        assert taken is not None


def test_another_machine_is_believed_as_long_as_it_renews_its_claim(record, gone):
    left_behind(record, age=STALE_SECONDS - 60, place="elsewhere", pid=gone)
    assert Claim.take(record) is None
    left = claim_path(record)
    os.utime(left, (time.time() - STALE_SECONDS - 60,) * 2)
    assert Claim.take(record) is not None


def test_a_claim_that_was_cut_off_counts_for_its_time(record):
    left = claim_path(record)
    left.parent.mkdir(parents=True)
    for content in (b"", b"[]", b'{"pid": "7"}'):
        left.write_bytes(content)
        assert Claim.take(record) is None
        assert holder(record) == "unknown"
        os.utime(left, (time.time() - STALE_SECONDS - 60,) * 2)
        claim = Claim.take(record)
        assert claim is not None
        claim.release()


def test_of_two_runs_that_find_an_old_claim_one_gets_it(record, gone):
    for _ in range(50):
        left_behind(record, pid=gone, born=None)
        barrier, got = threading.Barrier(2), []

        def take(barrier=barrier, got=got):
            barrier.wait()
            got.append(Claim.take(record))

        threads = [threading.Thread(target=take) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [claim for claim in got if claim is not None]
        assert [path.name for path in record.parent.iterdir()] == [claim_path(record).name]
        winner.release()


def test_a_new_claim_that_was_moved_aside_for_an_old_one_is_given_back(record, monkeypatch, gone):
    left_behind(record, pid=gone, born=None)
    judge, own = claims._is_stale, []

    def slow(path, content):
        stale = judge(path, content)
        monkeypatch.setattr(claims, "_is_stale", judge)
        own.append(Claim.take(record))  # another run is faster
        return stale

    monkeypatch.setattr(claims, "_is_stale", slow)
    assert Claim.take(record) is None
    assert own[0].is_own


def test_a_claim_is_renewed_when_it_is_time(record, monkeypatch):
    claim = Claim.take(record)
    os.utime(claim.path, (1.0, 1.0))
    assert claim.beat()
    assert claim.path.stat().st_mtime == 1.0
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.0)
    assert claim.beat()
    assert time.time() - claim.path.stat().st_mtime < 600


def test_a_run_notices_that_its_claim_was_taken_over_and_leaves_it(record, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.0)
    claim = Claim.take(record)
    claim.path.write_bytes(b"another's")
    assert not claim.beat()
    claim.release()
    assert claim.path.read_bytes() == b"another's"
    claim.path.unlink()
    assert not claim.beat()


def test_a_claim_is_no_record(record, tmp_path):
    assert Claim.take(record) is not None
    assert list(find_records(tmp_path)) == []
