"""A lease from end to end on a CPU: pack, copy, run, home, merge, each as its own command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inputs.catalogue import find_setting
from benchmarks.lease.pack import Wanted, pack
from benchmarks.lease.pieces import MEBIBYTE, LeaseError, join_pieces
from benchmarks.run.files_read import check_movable
from benchmarks.run.options import CommandError
from leaderboard.verify.verify import verify

ROOT = Path(__file__).resolve().parents[3]
METHODS = ("mean",)


def call(*command, cwd, **environment):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A checkout of this tree as it is here, all of it committed."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.check_output(listed, cwd=ROOT, text=True).splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("home") / "code"
    for name in names:
        if (ROOT / name).is_file() and not name.startswith("leaderboard/results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "All"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def setting(tmp_path_factory, write_setting):
    """A tiny setting of one's own, whose data are found by their bare name."""
    folder = tmp_path_factory.mktemp("setting")
    path = write_setting(folder, passes="0.5", validation_users="4")
    path.write_text(path.read_text().replace(f"lcrec:{folder / 'data' / 'tiny'}", "tiny"))
    return path


def lease(home, setting, *arguments):
    data, cache = str(setting.parent / "data"), str(setting.parent / "cache")
    places = {"PYTHONPATH": str(home), "GTI_BENCH_DATA": data, "GTI_BENCH_CACHE": cache}
    return call("-m", "benchmarks.lease", *arguments, cwd=home, **places)


@pytest.fixture(scope="module")
def packed(home, setting, tmp_path_factory):
    to = tmp_path_factory.mktemp("packed") / "pieces"
    wanted = ["--methods", ",".join(METHODS), "--seeds", "0", "--to", to, "--mib", "4"]
    done = lease(home, setting, "pack", setting, *wanted)
    assert done.returncode == 0, done.stderr
    return to


def run(pieces, out, minutes, *more, **environment):
    """The command of the GPU machine: nothing of the project is there but what was copied."""
    blank = {"PYTHONPATH": "", "GTI_BENCH_DATA": "", "GTI_BENCH_CACHE": "", **environment}
    options = ["--out", out, "--minutes", minutes, "--device", "cpu", *more]
    return call(pieces / "lease.pyz", "run", *options, cwd=pieces.parent, **blank)


def copied(packed, folder):
    folder.mkdir()
    for path in sorted(packed.iterdir(), reverse=True):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def lent(packed, tmp_path_factory):
    """What a run left, and how it ended."""
    folder = tmp_path_factory.mktemp("lent")
    done = run(copied(packed, folder / "pieces"), folder / "out", 60, PYTEST_ADDOPTS="-k no_timing")
    return folder / "out", done


def test_each_step_has_a_log_and_a_line_and_a_failing_one_does_not_stop_the_next(lent):
    out, done = lent
    steps = {step["name"]: step for step in json.loads((out / "summary.json").read_text())["steps"]}
    assert list(steps) == ["join", "tests", "perf", "cells-tiny"]
    assert steps["perf"]["exit"] == steps["tests"]["exit"] == 5  # `-k` leaves none to run
    assert steps["cells-tiny"]["exit"] == 0, (out / "logs" / "3-cells-tiny.log").read_text()
    assert done.returncode == 1, done.stderr
    for name in list(steps)[1:]:
        assert any(line.startswith(name) for line in done.stdout.splitlines())
        assert (out / "logs" / steps[name]["log"]).stat().st_size
    assert "bring home" in done.stdout.splitlines()[-1]


def test_what_is_brought_home_is_merged_once_and_verifies(lent, home, setting, packed, tmp_path):
    out, _ = lent
    brought = copied(out / "home", tmp_path / "brought")
    results = tmp_path / "results"
    for new, same in ((3, 0), (0, 3)):  # a method and two references
        done = lease(home, setting, "home", brought, "--results", results)
        assert done.returncode == 0, done.stderr
        assert f"new: {new}\n" in done.stdout
        assert f"same: {same}\n" in done.stdout
    assert [finding for finding in verify(results) if finding.level == "error"] == []
    commit = json.loads((packed / "manifest.json").read_text())["about"]["commit"]
    for method in METHODS:
        record = json.loads((results / "tiny" / method / "seed-0.json").read_text())
        assert record["code"]["commit"] == commit
        assert record["code"]["dirty"] is False


def test_a_run_that_was_killed_before_it_packed_is_merged_from_its_folder(
    lent, home, setting, tmp_path
):
    out, _ = lent
    done = lease(home, setting, "home", out, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "new: 3\n" in done.stdout


def test_a_damaged_and_a_missing_piece_are_told_before_anything_runs(packed, tmp_path):
    pieces = copied(packed, tmp_path / "pieces")
    (pieces / "code.001").unlink()
    first = pieces / "inputs.000"
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = run(pieces, tmp_path / "out", 1)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "code.001 is missing, inputs.000 is damaged" in line
    assert not (tmp_path / "out" / "results").exists()


def test_a_time_too_short_for_any_step_is_told_in_one_line(packed, tmp_path):
    done = run(copied(packed, tmp_path / "pieces"), tmp_path / "out", 0.01)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == "lease: no step had time within 0.01 minutes; give more --minutes"
    steps = json.loads((tmp_path / "out" / "summary.json").read_text())["steps"][1:]
    assert {step.get("why") for step in steps} == {"no time"}


def test_what_is_under_way_goes_home_and_on_the_next_lease(lent, packed, home, setting, tmp_path):
    """Whole, and a run that has no time for anything still packs it."""
    pieces, out = copied(packed, tmp_path / "pieces"), tmp_path / "out"
    weights = np.random.default_rng(0).bytes(5_000_000)
    folder = shutil.copytree(lent[0] / "results", out / "results") / "tiny" / "mean"
    (folder / "seed-1.checkpoint").mkdir()
    (folder / "seed-1.checkpoint" / "state.safetensors").write_bytes(weights)
    assert run(pieces, out, 0.01).returncode == 2
    assert len(list((out / "home").glob("checkpoints.*"))) == 2
    done = lease(home, setting, "home", out / "home", "--results", tmp_path / "results")
    assert "under way: 1; " in done.stdout
    assert not list((tmp_path / "results").rglob("*.checkpoint"))
    earlier = out / "home" / "whole" / "results"
    wanted = [setting, "--methods", "mean", "--to", tmp_path / "next", "--results", earlier]
    done = lease(home, setting, "pack", *wanted)
    assert done.returncode == 0, done.stderr
    join_pieces(tmp_path / "next", tmp_path / "joined")
    found = tmp_path / "joined" / "results" / "tiny" / "mean"
    assert (found / "seed-1.checkpoint" / "state.safetensors").read_bytes() == weights
    assert (found / "seed-0.json").read_bytes() == (folder / "seed-0.json").read_bytes()


def test_a_step_that_is_not_known_is_refused(packed, tmp_path):
    done = run(packed, tmp_path / "out", 1, "--steps", "cells,perff")
    assert done.returncode == 2
    assert done.stderr == "lease: unknown step 'perff'; --steps takes some of tests,perf,cells\n"


def wanted_of(setting):
    return Wanted(
        settings=[str(setting)], methods="mean", seeds=None, results=None, wheels=None,
        piece_bytes=MEBIBYTE,
    )  # fmt: skip


@pytest.mark.parametrize("code", [{"commit": "1", "dirty": True}, {"commit": None, "dirty": None}])
def test_a_checkout_whose_commit_is_not_what_would_run_is_not_packed(
    setting, tmp_path, monkeypatch, code
):
    monkeypatch.setattr("benchmarks.lease.pack.describe_code", lambda: code)
    with pytest.raises(LeaseError, match="without uncommitted changes"):
        pack(wanted_of(setting), tmp_path / "pieces")
    assert not (tmp_path / "pieces").exists()


def test_data_and_backbones_in_folders_of_this_machine_are_refused(
    setting, write_setting, tmp_path, monkeypatch
):
    monkeypatch.setenv("GTI_BENCH_DATA", str(setting.parent / "data"))
    movable = find_setting(str(setting)).setting
    check_movable(movable)
    with pytest.raises(CommandError, match=r"dataset 'lcrec:.*' is a folder of this machine alone"):
        check_movable(find_setting(str(write_setting(tmp_path))).setting)
    backbone = movable.backbone.model_copy(update={"name": str(tmp_path)})
    with pytest.raises(CommandError, match=r"backbone '.*' is a folder of this machine alone"):
        check_movable(movable.model_copy(update={"backbone": backbone}))


def test_what_is_not_prepared_is_named_with_the_command_that_does_it(
    setting, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "benchmarks.lease.pack.describe_code", lambda: {"commit": "1", "dirty": False}
    )
    monkeypatch.setenv("GTI_BENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(LeaseError, match="`gti-bench prepare ml-100k-nano` comes first"):
        pack(wanted_of("ml-100k-nano"), tmp_path / "pieces")
