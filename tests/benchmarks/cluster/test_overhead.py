"""What the engine adds: to a run, to each cell of it, and a thousand cells of nothing."""

import json
import time
from collections.abc import Iterator

import pytest

from baselines.registry import methods
from benchmarks.cluster.connect import Cluster, connected
from benchmarks.cluster.engine import RayEngine
from benchmarks.cluster.parcel import Parcel
from benchmarks.inputs.catalogue import find_setting
from benchmarks.run.options import OnCluster, RunOptions
from benchmarks.run.plan import plan_cells
from benchmarks.run.runner import run_cells

ray = pytest.importorskip("ray", reason="tox -e cluster runs these")
CELLS = 1_000


class OfNothing(Cluster):
    """A cluster whose cells do nothing, on some node."""

    def start(self, order, parcel, ends, number, nodes):
        task = ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")(nothing)
        return task.remote()


def nothing() -> Iterator[bytes]:
    yield str(ray.get_runtime_context().get_node_id()).encode()
    yield json.dumps({"event": "began"}).encode()


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_cells_of_one_run_after_another(engine, cluster, run, tmp_path, benchmark, capsys):
    """What a run takes to start is told apart from what each cell takes.

    A run before has taken the inputs to the node.
    """
    where = ("--engine", "ray", "--address", cluster(1).address) if engine == "ray" else ()
    options = ("--methods", "mean", "--workers", 1, *where)

    def seconds(seeds: str) -> float:
        began = time.perf_counter()
        process = run(tmp_path / "results", "--seeds", seeds, *options)
        told, _ = process.communicate(timeout=600)
        assert process.returncode == 0, told
        return time.perf_counter() - began

    seconds("0")
    one, four = seconds("1"), benchmark.pedantic(seconds, args=("2,3,4,5",), rounds=1)
    with capsys.disabled():
        each = (four - one) / 3
        print(f"\n{engine}: a run takes {one - each:.1f} s and {each:.1f} s more for each cell")
    assert len(list((tmp_path / "results" / "tiny" / "mean").glob("seed-?.json"))) == 6


def test_a_thousand_cells_of_nothing(cluster, write_setting, tmp_path, monkeypatch, benchmark):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    file, options = find_setting(str(write_setting(tmp_path))), RunOptions(results=tmp_path / "r")
    cells = plan_cells(file, [methods()["mean"]], range(CELLS), options.results)
    with connected(OnCluster(address=cluster(2).address), print) as found:
        of_nothing = OfNothing(found.options, found.code, print, found.fit)
        engine = RayEngine(of_nothing, options, Parcel(()), None)
        run_cells(cells[:4], options, engine=engine)  # Ray starts its processes once

        def every() -> None:
            failures = run_cells(cells, options, engine=engine).failures
            assert {failure.message for failure in failures} == {"no record came"}
            assert len(failures) == CELLS

        benchmark.pedantic(every, rounds=1)


class OfNoEnd(Cluster):
    """A cluster whose cells begin and do nothing more."""

    def start(self, order, parcel, ends, number, nodes):
        return ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")(endless).remote()


def endless() -> Iterator[bytes]:
    yield str(ray.get_runtime_context().get_node_id()).encode()
    time.sleep(600)


def test_a_cell_that_hangs_is_ended_and_fails_after_three_tries(
    cluster, write_setting, tmp_path, monkeypatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr("benchmarks.cluster.engine.HANGS_AT_LEAST", 2.0)
    file, options = find_setting(str(write_setting(tmp_path))), RunOptions(results=tmp_path / "r")
    cells = plan_cells(file, [methods()["mean"]], [0], options.results)
    with connected(OnCluster(address=cluster(1).address), print) as found:
        engine = RayEngine(
            OfNoEnd(found.options, found.code, print, found.fit), options, Parcel(()), 0.1
        )
        (failure,) = run_cells(cells, options, engine=engine).failures
    assert failure.message == "has not ended within 2 s and was ended; 3 tries"
