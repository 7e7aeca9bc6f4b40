"""A cell that waits on a real Ray cluster, while nodes die and others join."""

import json
import os
import queue
import time

import pytest

from baselines.registry import methods
from benchmarks.cluster import connect
from benchmarks.cluster.connect import connected
from benchmarks.cluster.engine import RayEngine
from benchmarks.cluster.parcel import Parcel
from benchmarks.inputs.catalogue import find_setting
from benchmarks.run.engine import Events
from benchmarks.run.options import OnCluster, RunOptions
from benchmarks.run.plan import plan_cells

ray = pytest.importorskip("ray", reason="tox -e cluster runs these")
WAIT_SECONDS = 300.0


def until(there):
    """Waits until `there` gives something."""
    end = time.monotonic() + WAIT_SECONDS
    while not there():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)


def busy():
    """Work of others, which takes a core."""
    time.sleep(2 * WAIT_SECONDS)


@pytest.fixture
def cells_tell_their_cache(monkeypatch):
    """In the place of all that a cell does."""

    def tell(order, parcel, ends, number):
        yield ray.get_runtime_context().get_node_id().encode()
        yield json.dumps({"event": "note", "message": os.environ["GTI_BENCH_CACHE"]}).encode()

    monkeypatch.setattr(connect, "_task", lambda: ray.remote(tell))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


def test_a_cell_whose_nodes_died_while_it_waited_starts_on_one_that_has_joined(
    cells_tell_their_cache, cluster, write_setting, tmp_path
):
    nodes, file = cluster(2), find_setting(str(write_setting(tmp_path)))
    options = RunOptions(results=tmp_path / "results", device="cpu")
    (cell,) = plan_cells(file, [methods()["mean"]], [0], options.results)
    events: Events = queue.Queue()
    with connected(OnCluster(address=nodes.address), print) as found:
        found.unfit[ray.get_runtime_context().get_node_id()] = "it runs the driver alone"
        (doomed,) = found.fit - found.unfit.keys()
        there = {"label_selector": {"ray.io/node-id": doomed}, "num_cpus": 1}
        other = ray.remote(busy).options(**there).remote()
        until(lambda: ray.available_resources()["CPU"] == 1.0)
        work = RayEngine(found, options, Parcel(()), None).launch(1, cell, events, None, ())
        until(lambda: work.task is not None)
        assert ray.wait([other, work.task], timeout=5) == ([], [other, work.task])
        joined = nodes.add()
        until(lambda: found.held("cpu") == 2)
        nodes.nodes[1].kill()
        told = [events.get(timeout=WAIT_SECONDS)[1]["message"] for _ in range(2)]
    assert told == ["the nodes that it waited for are gone; waits for others", str(joined.cache)]
