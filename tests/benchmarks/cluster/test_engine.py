"""What the driver does with what comes from nodes; the cluster here is made up."""

import json
import queue
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from baselines.registry import methods
from benchmarks.cell.cell import run_cell
from benchmarks.cluster.connect import Cluster
from benchmarks.cluster.engine import RayEngine
from benchmarks.cluster.parcel import Parcel
from benchmarks.inputs.catalogue import find_setting
from benchmarks.run.engine import EngineError
from benchmarks.run.options import OnCluster, RunOptions
from benchmarks.run.plan import plan_cells
from benchmarks.run.run import run_setting
from benchmarks.run.runner import run_cells
from leaderboard.records.canonical import canonical_json
from leaderboard.records.record import record_digest

ray = pytest.importorskip("ray", reason="tox -e cluster runs these")


@dataclass(frozen=True)
class MadeUp(Cluster):
    """Nodes of one core each; `gives` says what each of them gives for an order, null: no room."""

    gives: dict = field(default_factory=dict)
    told_to_end: list = field(default_factory=list)

    def start(self, order, parcel, ends, number, nodes):
        first = min(nodes)
        gives = self.gives[first]
        return gives and iter([first.encode(), *gives(order)])

    def start_ends(self):
        return SimpleNamespace(end=SimpleNamespace(remote=self.told_to_end.append))


@pytest.fixture
def made_up(monkeypatch):
    """`made_up(a=…)`: a cluster of the node `a`."""

    def wait(tasks, timeout):
        if tasks[0] is None:
            time.sleep(0.05)
            return [], tasks
        return tasks, []

    def make(**gives):
        alive = {"Alive": True, "Resources": {"CPU": 1.0}}
        monkeypatch.setattr(ray, "nodes", lambda: [{**alive, "NodeID": node} for node in gives])
        return MadeUp(OnCluster(), {}, print, set("ab"), gives=gives)

    monkeypatch.setattr(ray, "put", lambda what: what)
    monkeypatch.setattr(ray, "get", lambda what: what)
    monkeypatch.setattr(ray, "cancel", lambda *_, **__: None)
    monkeypatch.setattr(ray, "wait", wait)
    return make


def events(*told):
    """A node that gives these events alone."""
    return lambda order: [json.dumps(event).encode() for event in told]


FULL = events({"event": "began"}, {"event": "unfit", "message": "on node a: the disk is full"})
ENDS_BADLY = events({"event": "began"}, {"event": "failed", "message": "no good"})


@pytest.fixture
def setting(write_setting, tmp_path):
    return write_setting(tmp_path)


@pytest.fixture
def planned(setting, tmp_path):
    """Three cells, and options for them."""
    options = RunOptions(results=tmp_path / "results", device="cpu")
    return plan_cells(
        find_setting(str(setting)), [methods()["mean"]], [0, 1, 2], options.results
    ), options


def test_a_run_whose_only_node_is_unfit_ends_with_one_line(made_up, setting, tmp_path):
    cluster = made_up(a=FULL)

    @contextmanager
    def reach(options, say):
        yield SimpleNamespace(
            options=options, engine=lambda *_: RayEngine(cluster, options, Parcel(()), None)
        )

    told: list[str] = []
    options = RunOptions(results=tmp_path / "results", device="cpu", offline=True)
    assert run_setting(str(setting), "mean", "0,1,2", options, told.append, reach=reach) == 1
    assert [line for line in told if "the disk is full" in line] == [
        "no node is left that can run cells: on node a: the disk is full; 3 cells left: mean seed"
        " 0, mean seed 1, mean seed 2; the same command goes on with them"
    ]


def test_a_cluster_that_fails_before_the_first_cell_ends_the_run(setting, tmp_path):
    @contextmanager
    def reach(options, say):
        raise EngineError("the Ray cluster failed: OutOfDiskError")
        yield

    told: list[str] = []
    options = RunOptions(results=tmp_path / "results", device="cpu", offline=True)
    assert run_setting(str(setting), "mean", "0", options, told.append, reach=reach) == 1
    assert "the Ray cluster failed: OutOfDiskError; 1 cells left: mean seed 0" in told[0]


@pytest.fixture(scope="module")
def of_a_cell(write_setting, spec_of, tmp_path_factory):
    """The files of a cell, by name; of the setting that it belongs to, the file."""
    folder = tmp_path_factory.mktemp("cell")
    setting = write_setting(folder, passes="0.1", validation_users="4")
    run_cell(spec_of(setting, "mean"), folder / "results")
    files = (path for path in (folder / "results").rglob("*") if path.is_file())
    return setting, {p.relative_to(folder / "results").as_posix(): p.read_bytes() for p in files}


def brings(files):
    """A node that gives these files."""

    def gives(order):
        for name, content in files.items():
            yield json.dumps({"event": "file", "path": name}).encode()
            yield content

    return gives


def other_record(content):
    """The record, with a metric that is no number, and the digest of that."""
    record = json.loads(content)
    record["metrics"]["test"]["ndcg@10"] = "none"
    record["digest"] = record_digest(record)
    return canonical_json(record)


@pytest.mark.parametrize(
    ("place", "name", "change", "message"),
    [
        ("seed-0.json", None, None, None),
        ("seed-0.json", None, other_record, "cannot be used: tiny/mean/seed-0.json: field metrics"),
        ("seed-0.json", None, lambda _: b"[]", "seed-0.json: expected a JSON object, found list"),
        ("ranks", None, lambda content: content + b"x", "ranks"),
        ("inputs/", "inputs/../../x.npz", None, "other files than a cell's: inputs/../../x.npz, "),
        ("inputs/", f"inputs/{'0' * 64}.npz", None, "other Semantic IDs than its record names"),
        ("inputs/", None, lambda content: content[:99], "not a Semantic IDs artefact"),
    ],
)
def test_what_comes_home_is_written_if_it_is_what_it_says(
    made_up, of_a_cell, tmp_path, place, name, change, message
):
    setting, files = of_a_cell
    old = next(path for path in files if place in path)
    brought = {name if name and p == old else p: content for p, content in files.items()}
    if change:
        brought[old] = change(brought[old])
    results = tmp_path / "results"
    options = RunOptions(results=results, device="cpu")
    cells = plan_cells(find_setting(str(setting)), [methods()["mean"]], [0], results)
    engine = RayEngine(made_up(a=brings(brought)), options, Parcel(()), None)
    outcome = run_cells(cells, options, engine=engine)
    assert (outcome.left, outcome.broken) == ([], None)
    written = {p.relative_to(results).as_posix() for p in results.rglob("*") if p.is_file()}
    if message is None:
        assert (outcome.failures, written) == ([], set(files))
    else:
        assert message in outcome.failures[0].message
        assert written == set()


def test_cells_go_on_where_another_node_can_run_them(made_up, planned):
    cells, options = planned
    cluster = made_up(a=FULL, b=ENDS_BADLY)
    outcome = run_cells(cells, options, engine=RayEngine(cluster, options, Parcel(()), None))
    assert [failure.message for failure in outcome.failures] == ["no good"] * 3
    assert (outcome.left, outcome.broken) == ([], None)
    assert sorted(cluster.told_to_end) == [1, 2, 3]  # nothing waits for a cell that has ended
    assert cluster.unfit == {"a": "on node a: the disk is full"}


def test_a_cell_whose_nodes_are_gone_before_it_began_starts_on_another(made_up, planned):
    (cell, *_), options = planned
    cluster, events = made_up(a=None), queue.Queue()
    work = RayEngine(cluster, options, Parcel(()), None).launch(1, cell, events, None, ())
    with pytest.raises(queue.Empty):
        events.get(timeout=0.5)  # it waits for room
    cluster.gives["b"] = ENDS_BADLY
    del cluster.gives["a"]
    told = [events.get(timeout=10)[1] for _ in range(3)]
    assert [event and event["message"] for event in told] == [
        "the nodes that it waited for are gone; waits for others",
        "no good",
        None,
    ]
    assert work.begun
