"""Checkpoints of a cell: where they let it go on, and which of them are refused."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.cell.cell import run_cell
from benchmarks.cell.checkpoint import (
    MARK,
    Keeper,
    code_sha256,
    difference,
    write_tensors,
)
from benchmarks.cell.ledger import Ledger
from benchmarks.cell.leftovers import checkpoint_folder
from benchmarks.cell.trial import run_trial
from leaderboard.records.record import diagnostics_path, ranks_path, read_record
from leaderboard.records.trial import TrialName, read_trial, trial_path
from leaderboard.verify.verify import verify


class StoppedError(Exception):
    """Ends a cell at an event, as a kill would."""


class Watcher:
    """Keeps what a cell says, and stops it once an event of `stage` says that `share` is done."""

    def __init__(self, stage=None, share=0.0):
        self.stage, self.share, self.events = stage, share, []

    def __call__(self, event):
        self.events.append(event)
        if event.get("stage") == self.stage is not None:
            done = event["done"] / event["total"] if event["event"] == "progress" else 0.0
            if done >= self.share:
                raise StoppedError

    @property
    def notes(self):
        return [event["message"] for event in self.events if event["event"] == "note"]

    def steps(self, stage):
        """How many steps, or batches of users, `stage` has taken."""
        return sum(e["event"] == "progress" and e["stage"] == stage for e in self.events)


@pytest.fixture(scope="module")
def setting(write_setting, tmp_path_factory):
    return write_setting(tmp_path_factory.mktemp("setting"), passes="0.5", validation_users="4")


@pytest.fixture(scope="module")
def undisturbed(setting, cell_here, tmp_path_factory):
    """Records of cells that nothing disturbed, by method."""
    results = tmp_path_factory.mktemp("undisturbed")
    return {method: cell_here(setting, method, results) for method in ("gti", "lc_rec")}


@pytest.fixture
def run(setting, spec_of, tmp_path):
    """`run(watcher, method)`: runs or goes on with the cell; its record's path."""

    def call(watcher, method="gti", every=0.0, **others):
        torch.set_num_threads(1)
        spec = spec_of(setting, method, checkpoint_seconds=every, report=watcher)
        return run_cell(replace(spec, **others), tmp_path / "results")

    return call


@pytest.fixture
def stopped(run):
    """`stopped(watcher)`: runs or goes on with a cell that `watcher` stops."""

    def call(watcher, method="gti", **others):
        with pytest.raises(StoppedError):
            run(watcher, method, **others)

    return call


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results" / "tiny" / "gti" / "seed-0.checkpoint"


STOPS = [("grounding", 0.5), ("treatment", 0), ("sft", 0.3), ("curve", 0), ("sft", 0.8)]
STOPS += [("score", 0), ("validation", 1), ("test", 1), ("save", 0)]


def test_a_cell_stopped_in_every_stage_ends_with_the_same_record(
    stopped, run, undisturbed, lasting, folder
):
    for place in STOPS:
        stopped(Watcher(*place))
    assert (folder / MARK).exists()
    last = Watcher()
    record = run(last)
    whole = undisturbed["gti"]
    assert lasting(record) == lasting(whole)
    for sidecar in (ranks_path, diagnostics_path):
        assert sidecar(record).read_bytes() == sidecar(whole).read_bytes()
    assert [last.steps(stage) for stage in ("grounding", "sft")] == [0, 0]
    assert last.notes == ["goes on from its checkpoint of stage score"]
    assert not folder.exists()
    assert not [finding for finding in verify(record) if finding.level == "error"]


def test_costs_are_counted_once_and_writing_is_one_of_them(stopped, run, undisturbed):
    stopped(Watcher("sft", 0.5))
    stopped(Watcher("validation", 1))
    cost, whole = read_record(run(Watcher())).cost, read_record(undisturbed["gti"]).cost
    assert list(cost) == list(whole)
    assert cost["checkpoint"].seconds > 0
    for stage, once in whole.items():
        for field in ("steps", "tokens", "nominal_flops", "actual_flops", "first_loss"):
            assert getattr(cost[stage], field) == getattr(once, field), (stage, field)


def test_steps_that_were_kept_are_not_taken_again(stopped, run):
    stopped(Watcher("sft", 0.5))
    last = Watcher()
    run(last)
    first = next(e for e in last.events if e["event"] == "progress" and e["stage"] == "sft")
    assert first["done"] >= first["total"] // 2
    assert last.steps("grounding") == 0


def test_alignment_tasks_beside_r_go_on_with_the_same_examples(stopped, run, undisturbed, lasting):
    stopped(Watcher("sft", 0.5), "lc_rec")
    assert lasting(run(Watcher(), "lc_rec")) == lasting(undisturbed["lc_rec"])


@pytest.mark.parametrize("method", ["gti", "mean"])
def test_a_second_kill_before_a_stage_goes_on_loses_nothing(stopped, folder, method):
    mark = folder.parent.parent / method / folder.name / MARK
    stopped(Watcher("sft", 0.5), method)
    steps = json.loads(mark.read_text())["kept"]["sft"]["report"]["steps"]
    stopped(Watcher("sft"), method)
    assert json.loads(mark.read_text())["kept"]["sft"]["report"]["steps"] == steps > 0


def test_within_a_stage_a_checkpoint_is_written_once_the_last_is_old_enough(stopped, folder):
    stopped(Watcher("sft", 0.9), every=3600.0)
    mark = json.loads((folder / MARK).read_text())
    assert "sft" not in mark["kept"]  # of the end of the stage before it
    assert mark["stage"] == "treatment"
    shutil.rmtree(folder)
    stopped(Watcher("sft", 0.9), every=0.0)
    assert json.loads((folder / MARK).read_text())["kept"]["sft"]["report"]["steps"] > 0


@pytest.mark.parametrize(
    ("took", "gap"), [(0.0, 240.0), (9.0, 240.0), (20.0, 400.0), (99.0, 480.0)]
)
def test_the_longer_one_takes_to_write_the_later_the_next_but_within_bounds(
    monkeypatch, tmp_path, took, gap
):
    now = [1000.0]
    monkeypatch.setattr(
        "benchmarks.cell.checkpoint.time", SimpleNamespace(monotonic=lambda: now[0])
    )

    def write(folder, what, tensors):
        now[0] += took
        return {"name": what, "sha256": ""}

    monkeypatch.setattr("benchmarks.cell.checkpoint.write_tensors", write)
    tmp_path.joinpath("here").mkdir()
    ledger, said = Ledger(torch.device("cpu"), "float32"), []
    keeper = Keeper(tmp_path / "here", 240.0, {}, ledger, said.append)
    keeper.write()
    said.clear()
    now[0] += gap - 1
    keeper.tick()
    assert not said
    now[0] += 1
    keeper.tick()
    assert said == [{"event": "stage", "stage": stage} for stage in ("checkpoint", "load")]


def test_a_stage_that_trains_rows_alone_leaves_rows_alone(stopped, folder):
    stopped(Watcher("treatment"))
    mark = json.loads((folder / MARK).read_text())
    weights = load_file(folder / mark["files"]["weights"]["name"])
    assert [tuple(rows.shape) for rows in weights.values()] == [(16, weights["rows/0"].shape[1])]
    assert {path.name for path in folder.iterdir()} == {
        MARK, *(file["name"] for file in mark["files"].values())
    }  # fmt: skip


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def remove(path):
    path.unlink()


@pytest.fixture(scope="module")
def left(setting, spec_of, tmp_path_factory):
    """The folder of a checkpoint in the middle of SFT."""
    results = tmp_path_factory.mktemp("left")
    torch.set_num_threads(1)
    watcher = Watcher("sft", 0.5)
    with pytest.raises(StoppedError):
        run_cell(spec_of(setting, "gti", checkpoint_seconds=0.0, report=watcher), results)
    return results / "tiny" / "gti" / "seed-0.checkpoint"


@pytest.fixture
def goes_on(left, folder, stopped):
    """`goes_on()`: notes of a cell with a copy of that checkpoint, stopped as its stages begin."""
    shutil.copytree(left, folder)

    def call(stage, **others):
        watcher = Watcher(stage)
        stopped(watcher, **others)
        return watcher.notes

    return call


@pytest.mark.parametrize("damage", [cut, flip, remove])
@pytest.mark.parametrize("which", ["mark", "state", "weights"])
def test_a_damaged_checkpoint_is_said_and_the_cell_starts_anew(goes_on, folder, damage, which):
    mark = json.loads((folder / MARK).read_text())
    path = folder / (MARK if which == "mark" else mark["files"][which]["name"])
    damage(path)
    notes = goes_on("grounding")  # the first stage
    what = "missing" if damage is remove else "damaged"
    said = f"its checkpoint is not used, and it starts anew: {path.name} is {what}"
    assert notes == ([] if (which, damage) == ("mark", remove) else [said])


def test_a_checkpoint_of_other_code_is_refused_and_replaced(goes_on, folder, monkeypatch, run):
    before = json.loads((folder / MARK).read_text())["identity"]["code"]
    monkeypatch.setattr("benchmarks.cell.checkpoint.code_sha256", lambda method: "f" * 64)
    (note,) = goes_on("treatment")
    assert note == (
        "its checkpoint is not used, and it starts anew: it was made elsewhere: code was"
        f" {before[:12]}, is ffffffffffff"
    )
    assert json.loads((folder / MARK).read_text())["identity"]["code"] == "f" * 64


def test_plain_forms_do_not_go_on_from_fast_ones(goes_on):
    (note,) = goes_on("grounding", plain=True)
    assert note.endswith("plain forms was False, is True")


def test_the_identity_holds_all_that_moves_bits(left):
    named = set(json.loads((left / MARK).read_text())["identity"])
    assert named >= {
        "setting", "method", "seed", "code", "version of gti-bench", "torch", "transformers",
        "instruction set", "processor", "threads", "device", "dtype", "attention", "plain forms",
        "input dataset", "input backbone", "input semantic_ids",
    }  # fmt: skip


def test_the_code_of_every_package_and_of_the_method_counts(tmp_path, monkeypatch):
    class Own:
        pass

    method, root = tmp_path / "method.py", tmp_path / "root"
    (root / "gti").mkdir(parents=True)
    monkeypatch.setattr("benchmarks.cell.checkpoint.ROOT", root)
    monkeypatch.setattr("inspect.getsourcefile", lambda kind: str(method))
    found = set()
    for path, text in ((method, "1"), (root / "gti" / "a.py", "1"), (method, "2")):
        path.write_text(text)
        found.add(code_sha256(Own()))
    (root / "gti" / "a.py").write_text("2")
    assert len(found | {code_sha256(Own())}) == 4


def test_a_difference_names_the_thing_and_both_values():
    assert difference({"torch": "2.1", "seed": 0}, {"seed": 0, "torch": "2.2"}) == (
        "torch was 2.1, is 2.2"
    )
    assert difference({"peft": "1"}, {}) == "peft was 1, is None"
    assert difference({"seed": 0}, {"seed": 0}) is None


def test_a_full_disk_is_said_and_ends_no_cell(run, undisturbed, lasting, monkeypatch):
    def full(folder, what, tensors):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmarks.cell.checkpoint.write_tensors", full)
    watcher = Watcher()
    assert lasting(run(watcher, every=3600.0)) == lasting(undisturbed["gti"])
    assert watcher.notes[0].startswith("cannot write its checkpoint, and goes on without: ")
    assert "No space left on device" in watcher.notes[0]


def test_weights_that_could_not_be_written_are_not_taken_for_those_before(
    stopped, folder, monkeypatch
):
    def no_weights(folder, what, tensors):
        if what == "weights":
            raise OSError(28, "No space left on device")
        return write_tensors(folder, what, tensors)

    monkeypatch.setattr("benchmarks.cell.checkpoint.write_tensors", no_weights)
    stopped(Watcher("sft", 0.5))
    kept = json.loads((folder / MARK).read_text())["kept"]
    assert set(kept) == {"ledger", "scorer", "grounding"}  # its last step, not its end


def test_a_trial_goes_on_as_a_cell_does(setting, spec_of, tmp_path):
    name = TrialName(stage="sft", number=1)
    torch.set_num_threads(1)

    def trial(results, watcher, every=0.0):
        spec = spec_of(setting, "gti", checkpoint_seconds=every, report=watcher)
        return run_trial(spec, name, results)

    whole = read_trial(trial(tmp_path / "whole", Watcher(), 3600.0))
    for stage in ("sft", "validation"):
        with pytest.raises(StoppedError):
            trial(tmp_path / "cut", Watcher(stage, 0.5))
    path = trial(tmp_path / "cut", Watcher())
    again = read_trial(path)
    assert (again.score, again.ranks, again.metrics) == (whole.score, whole.ranks, whole.metrics)
    assert path == trial_path(tmp_path / "cut", "tiny", "gti", name, 0)
    assert not checkpoint_folder(path).exists()
