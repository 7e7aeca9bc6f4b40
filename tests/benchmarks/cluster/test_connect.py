"""What is said of nodes that differ, and which addresses are this machine's."""

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks.cluster import connect
from benchmarks.cluster.connect import Ends, _is_here, connected, differences
from benchmarks.run.engine import EngineError
from benchmarks.run.options import CommandError, OnCluster

OTHER_VERSION = """Version mismatch: The cluster was started with:
    Ray: 2.50.0
    Python: 3.12.1
This process on 127.0.0.1:6379 was started with:
    Ray: 2.60.0
    Python: 3.11.2
"""


def test_nodes_that_differ_are_named_with_what_each_has():
    one = {"torch": "2.13.0", "instruction set": "AVX512"}
    other = {"torch": "2.12.0", "instruction set": "AVX512"}
    assert differences({"a": one, "b": one}) == []
    assert differences({"a": one, "b": other, "c": one}) == [
        "nodes differ in torch: 2.13.0 on a, c; 2.12.0 on b"
    ]
    assert differences({"a": one, "b": {}})[0] == (
        "nodes differ in instruction set: AVX512 on a; missing on b"
    )
    assert differences({}) == []


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("localhost", True), ("198.51.100.7", False)]
)
def test_an_address_is_this_machine_s_own_or_is_not(host, here):
    assert _is_here(host) == here


def test_nobody_waits_for_a_cell_that_is_to_end():
    async def all_return():
        ends = Ends()
        waits = [asyncio.create_task(ends.wait(number)) for number in (1, 1, 2)]
        await asyncio.sleep(0)
        await ends.end(1)
        await asyncio.wait_for(asyncio.gather(*waits[:2], ends.wait(1)), timeout=10)
        assert not waits[2].done()
        await ends.end(2)
        await asyncio.wait_for(waits[2], timeout=10)
        assert not ends.waited

    asyncio.run(all_return())


def node(name, address="127.0.0.1"):
    return {
        "Alive": True,
        "NodeID": name,
        "NodeManagerHostname": name,
        "NodeManagerAddress": address,
        "Resources": {"CPU": 2.0},
    }


def test_a_node_that_joins_is_looked_at_before_it_gets_cells(monkeypatch, ray):
    code = {"version": "1.0", "commit": None, "dirty": None}
    says = {
        "same": {"code": code, "environment": {}},
        "older": {"code": {**code, "version": "0.9"}, "environment": {}},
        "bare": {"error": "No module named 'benchmarks'"},
        "gone": {"silent": "WorkerCrashedError"},
    }
    asked, told = [], []

    def told_by(nodes):
        asked.extend(each["NodeID"] for each in nodes)
        return [says[each["NodeID"]] for each in nodes]

    there = [node("first"), *map(node, says), node("open", "198.51.100.7")]
    monkeypatch.setattr(connect, "_told_by", told_by)
    monkeypatch.setattr(ray, "nodes", lambda: there)
    monkeypatch.delenv(connect.AUTH, raising=False)
    cluster = connect.Cluster(OnCluster(), code, told.append, {"first"})
    assert [cluster.held("cpu"), cluster.held("cpu")] == [4, 4]
    assert asked == ["same", "older", "bare", "gone"]  # nothing of another machine is unpickled
    assert cluster.fit == {"first", "same"}
    assert set(cluster.unfit) == {"older", "bare", "gone", "open"}
    words = ("has gti-bench 0.9", "cannot run gti-bench", "does not answer", "another machine")
    assert len(told) == len(words)
    for line, part in zip(told, words, strict=True):
        assert part in line
        assert line.endswith("; no cell starts there")
    there[:] = there[2:]
    with pytest.raises(EngineError, match="no node is left that can run cells: node open"):
        cluster.places("cpu")
    cluster.unfit.update(dict.fromkeys(cluster.fit, "the disk is full"))
    with pytest.raises(EngineError, match="no node is left that can run cells: the disk is full"):
        cluster.offered("cpu")


@pytest.mark.parametrize(("share", "held"), [(1.0, 3), (0.5, 6), (0.6, 3), (0.1, 8)])
def test_a_cell_is_offered_nodes_with_what_it_needs_and_a_share_is_of_one_gpu(
    share, held, monkeypatch, ray
):
    cpus = {"two": 4.0, "one": 4.0, "none": 4.0, "gone": 4.0}
    gpus = {"two": 2.0, "one": 1.0, "gone": 1.0}
    there = [
        {**node(name), "Alive": name != "gone", "Resources": {"CPU": cpu, "GPU": gpus.get(name, 0)}}
        for name, cpu in cpus.items()
    ]
    monkeypatch.setattr(ray, "nodes", lambda: there)
    cluster = connect.Cluster(OnCluster(gpus_per_cell=share), {}, print, set(cpus))
    assert cluster.held("cuda") == held
    assert cluster.offered("cuda") == {"two", "one"}
    assert cluster.offered("cpu") == {"two", "one", "none"}
    assert cluster.all_gone({"none", "gone"}, "cuda")
    assert not cluster.all_gone({"none", "gone"}, "cpu")
    cluster.unfit["none"] = "the disk is full"
    assert cluster.all_gone({"none", "gone"}, "cpu")


@pytest.fixture
def ray(monkeypatch):
    """Ray, which connects to nothing."""
    found = pytest.importorskip("ray", reason="tox -e cluster runs these")
    monkeypatch.setattr(found, "init", lambda **_: None)
    monkeypatch.setattr(found, "shutdown", lambda: None)
    monkeypatch.setattr(connect, "_check_nodes", lambda *_: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return found


def test_a_cluster_that_refuses_is_one_line(ray, monkeypatch):
    def refused(error):
        def init(**_):
            raise error

        monkeypatch.setattr(ray, "init", init)
        with pytest.raises(CommandError) as raised, connected(OnCluster(), print):
            pass
        assert "\n" not in str(raised.value)
        return str(raised.value)

    told = refused(RuntimeError(OTHER_VERSION))
    assert "with: Ray: 2.50.0 Python: 3.12.1 This process" in told
    assert "with: Ray: 2.60.0 Python: 3.11.2; install the same" in told
    assert "ray start" not in told
    told = refused(ray.exceptions.AuthenticationError("Unauthenticated\nmore"))
    assert told.endswith("auto cannot be used: AuthenticationError: Unauthenticated")
    assert "no Ray cluster at auto: none; `ray start --head`" in refused(ConnectionError("none"))


def test_a_cluster_that_fails_later_ends_the_run(ray):
    with (
        pytest.raises(EngineError, match=r"the Ray cluster failed: OutOfDiskError: .*full"),
        connected(OnCluster(), print),
    ):
        raise ray.exceptions.OutOfDiskError("the disk is full")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("198.51.100.7:6379", "RAY_AUTH_MODE=token"),
        ("ray://127.0.0.1:10001", "takes HOST:PORT or auto, found 'ray://127.0.0.1:10001'"),
        ("127.0.0.1:9", "no Ray cluster at 127.0.0.1:9: "),
        ("no-such-host.invalid:6379", "no Ray cluster at no-such-host.invalid:6379: "),
    ],
)
def test_the_address_that_ray_s_variable_names_is_checked_as_one_that_is_given(
    ray, monkeypatch, address, message
):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(CommandError) as raised, connected(OnCluster(), print):
        pass
    assert message in str(raised.value)


def test_what_answers_at_an_address_and_is_not_ray_is_one_line(ray, monkeypatch):
    def told(port):
        with (
            pytest.raises(CommandError) as raised,
            connected(OnCluster(address=f"127.0.0.1:{port}"), print),
        ):
            pass
        assert "\n" not in str(raised.value)
        return str(raised.value)

    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert told(port).startswith(f"no Ray cluster at 127.0.0.1:{port}: timed out; `ray start")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        assert "what answers there is something else; `ray start" in told(page.server_port)
        page.shutdown()
