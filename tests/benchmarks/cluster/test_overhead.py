"""What the engine adds: a cell beside the local runner's, and a thousand cells of nothing."""

import json
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

    def start(self, order, parcel, ends, number):
        task = ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")(nothing)
        return task.remote()


def nothing() -> Iterator[bytes]:
    yield str(ray.get_runtime_context().get_node_id()).encode()
    yield json.dumps({"event": "began"}).encode()


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_cell_after_the_first(engine, cluster, run, tmp_path, benchmark):
    """The first one takes the inputs to the node."""
    where = ("--engine", "ray", "--address", cluster(1).address) if engine == "ray" else ()

    def cell(seed: int) -> None:
        process = run(tmp_path / "results", "--methods", "mean", "--seeds", seed, *where)
        told, _ = process.communicate(timeout=240)
        assert process.returncode == 0, told

    cell(0)
    benchmark.pedantic(cell, args=(1,), rounds=1)
    assert (tmp_path / "results" / "tiny" / "mean" / "seed-1.json").exists()


def test_a_thousand_cells_of_nothing(cluster, write_setting, tmp_path, monkeypatch, benchmark):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    file, options = find_setting(str(write_setting(tmp_path))), RunOptions(results=tmp_path / "r")
    cells = plan_cells(file, [methods()["mean"]], range(CELLS), options.results)
    with connected(OnCluster(address=cluster(2).address), print) as found:
        of_nothing = OfNothing(found.options, found.code)
        engine = RayEngine(of_nothing, options, Parcel(()), None)
        run_cells(cells[:4], options, engine=engine)  # Ray starts its processes once

        def every() -> None:
            failures = run_cells(cells, options, engine=engine).failures
            assert {failure.message for failure in failures} == {"no record came"}
            assert len(failures) == CELLS

        benchmark.pedantic(every, rounds=1)
