"""Boards on a real Ray cluster of several nodes: the same records, whatever dies on the way."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster.connect import connected
from benchmarks.perf.kills import differences
from benchmarks.run.options import CommandError, OnCluster
from leaderboard.verify.verify import verify

METHODS = ("mean", "gti", "lc_rec")
SEEDS = (0, 1)
WAIT_SECONDS = 900.0
BOARD = ("--methods", ",".join(METHODS), "--seeds", "0,1", "--engine", "ray", "--address")


def records(results: Path) -> list[Path]:
    """Of cells, not of references."""
    return [p for method in METHODS for p in results.glob(f"tiny/{method}/seed-?.json")]


def same(results: Path, whole: Path) -> None:
    """Every record is there once, and is the undisturbed one."""
    for method in METHODS:
        for seed in SEEDS:
            own, other = (each / "tiny" / method / f"seed-{seed}.json" for each in (results, whole))
            assert differences(own, other) == []
    assert [finding for finding in verify(results) if finding.level == "error"] == []
    left = [p for p in results.rglob("*") if p.suffix in (".running", ".tmp", ".checkpoint")]
    assert left == []


def done(told: str) -> list[str]:
    """The cells that the run says are done, in this order."""
    return re.findall(r"^(\w+ seed \d)  +ndcg@10", told, re.MULTILINE)


def until(there: Callable[[], Any]) -> Any:
    """What `there` gives once it is something."""
    end = time.monotonic() + WAIT_SECONDS
    while not (found := there()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def finished(process: "subprocess.Popen[str]", code: int = 0) -> str:
    told, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == code, told
    return told


def test_a_board_on_three_nodes_is_the_local_one(cluster, run, undisturbed, tmp_path):
    nodes = cluster(3)
    told = finished(run(tmp_path / "results", *BOARD, nodes.address))
    assert "6 cells to run, 3 at a time on cpu" in told
    assert sorted(done(told)) == sorted(f"{m} seed {s}" for m in METHODS for s in SEEDS)
    same(tmp_path / "results", undisturbed)
    # What the nodes read came to them: none has the data, or wrote anywhere but in its own cache.
    used = [node for node in nodes.nodes if (node.cache / "brought").is_dir()]
    assert len(used) >= 2
    for node in used:
        assert list(node.cache.glob("brought/*/tiny/*.inter.json"))
        assert not list(node.cache.glob("unfinished-*"))
    again = finished(run(tmp_path / "results", *BOARD, nodes.address))
    assert done(again) == []


def test_a_node_and_a_process_that_die_cost_no_record(cluster, run, undisturbed, tmp_path):
    nodes = cluster(3)
    process = run(tmp_path / "results", *BOARD, nodes.address)
    doomed = nodes.nodes[1]
    until(doomed.cells)
    doomed.kill()
    killed = until(nodes.nodes[2].cells)[0]
    os.kill(killed, signal.SIGKILL)
    told = finished(process)
    assert "lost its node or task" in told
    assert re.search(r"on node .*: worker was ended by signal 9.*; starts again", told)
    assert sorted(done(told)) == sorted(f"{m} seed {s}" for m in METHODS for s in SEEDS)
    same(tmp_path / "results", undisturbed)


def test_a_driver_that_is_killed_leaves_nothing_running_and_is_started_again(
    cluster, run, undisturbed, tmp_path
):
    nodes, results = cluster(2), tmp_path / "results"
    process = run(results, *BOARD, nodes.address)
    until(lambda: records(results) and nodes.nodes[1].cells())
    process.kill()
    process.communicate()
    before = {path: path.read_bytes() for path in records(results)}
    until(lambda: not any(node.cells() for node in nodes.nodes))
    told = finished(run(results, *BOARD, nodes.address))
    assert len(done(told)) == len(METHODS) * len(SEEDS) - len(before)
    assert all(path.read_bytes() == content for path, content in before.items())
    same(results, undisturbed)


def test_a_run_that_is_ended_goes_on_from_checkpoints_in_a_shared_folder(
    cluster, run, undisturbed, tmp_path
):
    nodes, results, shared = cluster(1), tmp_path / "results", tmp_path / "shared"
    ray = (*BOARD, nodes.address, "--shared", shared)
    process = run(results, *ray)
    until(lambda: list(shared.glob("tiny/*/seed-*.checkpoint/*")))
    process.send_signal(signal.SIGTERM)
    told = finished(process)
    assert "ended by SIGTERM; " in told
    assert list(shared.glob("tiny/*/seed-*.checkpoint/*"))
    told = finished(run(results, *ray))
    assert "goes on from its checkpoint" in told
    same(results, undisturbed)
    assert [p for p in shared.rglob("*") if p.is_file() and p.suffix != ".npz"] == []


def test_a_cell_whose_node_dies_goes_on_from_its_checkpoint_in_a_shared_folder(
    cluster, run, undisturbed, tmp_path
):
    nodes, results, shared = cluster(2), tmp_path / "results", tmp_path / "shared"
    what = ("--methods", "gti", "--seeds", "0,1", "--engine", "ray", "--address", nodes.address)
    process = run(results, *what, "--shared", shared)
    marks = "tiny/gti/seed-?.checkpoint/checkpoint.json"
    until(lambda: len(list(shared.glob(marks))) == len(SEEDS) or process.poll() is not None)
    nodes.nodes[1].kill()
    told = finished(process)
    assert "lost its node or task" in told
    assert "goes on from its checkpoint" in told
    for seed in SEEDS:
        own, other = (
            each / "tiny" / "gti" / f"seed-{seed}.json" for each in (results, undisturbed)
        )
        assert differences(own, other) == []
    assert [p for p in shared.rglob("*") if p.is_file() and p.suffix != ".npz"] == []


def test_a_run_that_is_interrupted_leaves_nothing_running(cluster, run, undisturbed, tmp_path):
    nodes, results = cluster(2), tmp_path / "results"
    process = run(results, *BOARD, nodes.address)
    until(lambda: records(results) and nodes.nodes[1].cells())
    process.send_signal(signal.SIGINT)
    told = finished(process, 130)
    assert "interrupted; finished cells are kept" in told
    assert "Traceback" not in told
    until(lambda: not any(node.cells() for node in nodes.nodes))
    finished(run(results, *BOARD, nodes.address))
    same(results, undisturbed)


def test_two_hosts_are_asked_for_a_token_and_give_the_local_records(
    hosts, run, undisturbed, start_node, tmp_path
):
    first, second = hosts.addresses
    here, address = hosts.before(0), f"{first}:6399"
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    head = ("--head", "--port=6399", f"--node-ip-address={first}", "--include-dashboard=false")
    joins = (f"--address={address}", f"--node-ip-address={second}")
    nodes = [
        start_node(tmp_path / "first", *head, before=here, **auth),
        start_node(tmp_path / "second", *joins, before=hosts.before(1), **auth),
    ]
    told = finished(run(tmp_path / "refused", *BOARD, address, before=here), 2)
    assert "Traceback" not in told
    assert "token" in told
    told = finished(run(tmp_path / "results", *BOARD, address, before=here, **auth))
    assert "6 cells to run, 2 at a time on cpu" in told
    assert len(done(told)) == len(METHODS) * len(SEEDS)
    same(tmp_path / "results", undisturbed)
    assert all((node.cache / "brought").is_dir() for node in nodes)


def test_nodes_that_cannot_run_cells_are_told_and_left_alone(cluster, run, undisturbed, tmp_path):
    nodes = cluster(1)
    told = finished(run(tmp_path / "results", *BOARD, nodes.address, "--device", "cuda"), 2)
    assert "--device cuda: no node of the Ray cluster has a GPU" in told
    nodes.add(GTI_BENCH_CACHE="/dev/null/cache")  # takes nothing, as a full disk would
    told = finished(run(tmp_path / "results", *BOARD, nodes.address))
    assert re.search(
        r"on node .*: cannot make room for inputs in the cache /dev/null/cache: .*; no cell starts"
        " there again",
        told,
    )
    same(tmp_path / "results", undisturbed)


def test_a_run_whose_only_node_cannot_run_cells_ends_with_one_line(cluster, run, tmp_path):
    cache = f"/dev/null/cache-{os.getpid()}"  # takes nothing, as a full disk would
    nodes = cluster(1, GTI_BENCH_CACHE=cache)
    told = finished(run(tmp_path / "results", *BOARD, nodes.address), 1)
    (line,) = [line for line in told.splitlines() if "no node is left that can run cells" in line]
    assert f"cannot make room for inputs in the cache {cache}" in line
    assert "; 6 cells left: " in line
    assert "Traceback" not in told


def test_nodes_with_other_code_are_refused_before_anything_runs(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    nodes = cluster(1)
    other, older = tmp_path / "other", tmp_path / "older"
    (other / "benchmarks").mkdir(parents=True)
    (other / "benchmarks" / "__init__.py").touch()
    (older / "gti_bench-0.0.1.dist-info").mkdir(parents=True)
    (older / "gti_bench-0.0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: gti-bench\nVersion: 0.0.1\n"
    )
    told: list[str] = []
    for place, words in (
        (other, "cannot run gti-bench: .*No module named 'benchmarks.cluster'.; install it there"),
        (older, "has gti-bench 0.0.1.*, here is .*; install the same on all nodes"),
    ):
        node = nodes.add(PYTHONPATH=str(place))
        with (
            pytest.raises(CommandError, match=words),
            connected(OnCluster(address=nodes.address), told.append),
        ):
            pass
        node.kill()
    with connected(OnCluster(address=nodes.address), told.append) as found:
        assert found.held("cpu") >= 1  # those that were killed may still count as alive
        assert found.held("cuda") == 0
    assert all("does not answer" in line for line in told)


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_is_named_with_what_brings_it(run, tmp_path):
    told = finished(run(tmp_path / "results", *BOARD, "auto"), 2)
    assert "--engine ray needs Ray: pip install 'gti-bench[ray]', here and on all nodes" in told


@pytest.mark.skipif(find_spec("ray") is None, reason="tox -e cluster runs these")
def test_no_cluster_at_the_address_is_one_line(run, tmp_path):
    told = finished(run(tmp_path / "results", *BOARD, "127.0.0.1:9"), 2)
    assert "no Ray cluster at 127.0.0.1:9: " in told
    assert "Traceback" not in told
    told = finished(run(tmp_path / "results", *BOARD, "198.51.100.7:6379"), 2)
    assert "RAY_AUTH_MODE=token" in told
    told = finished(run(tmp_path / "results", *BOARD, "127.0.0.1"), 2)
    assert "--address (or $RAY_ADDRESS) takes HOST:PORT or auto, found '127.0.0.1'" in told
    told = finished(run(tmp_path / "results", *BOARD, "auto", "--gpus-per-cell", "2"), 2)
    assert "--gpus-per-cell must be above 0 and at most 1, found 2.0" in told
