"""On the GPU machine: join the pieces, then tests, timings and cells until the time is over.

Every step has a log and a line in the summary, and one that fails does not stop the next. Only the
standard library is needed to start; the steps run the code that was packed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lease.pieces import (
    MEBIBYTE,
    LeaseError,
    add_archive,
    begin_pieces,
    join_pieces,
    read_manifest,
)

TESTS_SHARE, PERF_SHARE = 0.2, 0.3
"""Of the whole time, at most, for the tests and for the timings."""
RESERVE_SHARE, MOST_RESERVE = 0.1, 60.0
"""Of the whole time, and seconds at most, kept for packing what is to be brought home."""
LEAST_SECONDS = 5.0
"""A step with less is left out."""
GRACE_SECONDS = 20.0
"""From a step's limit to its kill: for what it says and writes at its end."""
PERF = ("copies", "chat_style", "grounding", "decoding", "likelihood")
"""Files `test_….py` of benchmarks/perf, the most wanted first: what cells spend their time on."""
STEPS = ("tests", "perf", "cells")
"""What a run does, in this order, unless it is told to do less."""
AROUND_SECONDS = 30.0
"""Until `gti-bench run` counts its own time, and from its stop until its cells are on disk."""
INSTALLED = "installed"
"""Folder of the packed wheels' content, beside the joined archives."""
HOME = "home"
"""Folder of pieces, in what a run leaves."""


class Lease:
    """One run: its places, its clock, and what has been done.

    Args:
        out: what the run leaves: results, logs, the summary, and pieces of all that in `home`.
        work: where the pieces are joined.
        about: what `pack` told, from the manifest.
        seconds: that the run may take.
        device: "cuda" or "cpu".
    """

    def __init__(
        self, out: Path, work: Path, about: Mapping[str, Any], seconds: float, device: str
    ) -> None:
        self.out, self.work, self.about = out, work, about
        self.seconds, self.device = seconds, device
        self.began = time.monotonic()
        self.steps: list[dict[str, Any]] = []

    @property
    def left(self) -> float:
        """Seconds until only packing is to be done."""
        reserve = min(MOST_RESERVE, RESERVE_SHARE * self.seconds)
        return self.seconds - reserve - (time.monotonic() - self.began)

    def note(self, name: str, **found: Any) -> None:
        """Adds a step to the summary, on disk and as a line."""
        self.steps.append({"name": name, **found})
        summary = {
            "about": self.about,
            "device": self.device,
            "seconds": self.seconds,
            "steps": self.steps,
        }
        (self.out / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
        print(step_line(self.steps[-1]), flush=True)

    def step(
        self, name: str, command: Sequence[str], most: float, ending: int = signal.SIGINT
    ) -> None:
        """Runs a command for at most `most` seconds, and no longer than there is time.

        Args:
            name: of the step and its log.
            command: of this Python, in the joined code.
            most: seconds.
            ending: the signal at the limit. pytest tells what it has done at an interrupt.
        """
        most = min(most, self.left)
        if most < LEAST_SECONDS:
            self.note(name, exit=None, why="no time")
            return
        log = self.out / "logs" / f"{len(self.steps)}-{name}.log"
        began, cut = time.monotonic(), False
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.work / "code",
                env=self.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(most)
            except subprocess.TimeoutExpired:
                cut = True
                process.send_signal(ending)
                try:
                    process.wait(GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
            code = process.wait()
        seconds = round(time.monotonic() - began, 1)
        self.note(name, exit=code, cut=cut, seconds=seconds, log=log.name)

    def environment(self) -> dict[str, str]:
        """What the steps find: the joined code, cache and data, no network, the device to time."""
        inputs = self.work / "inputs"
        return {
            **os.environ,
            "PYTHONPATH": f"{self.work / 'code'}{os.pathsep}{self.work / INSTALLED}",
            "GTI_BENCH_CACHE": str(inputs / "cache"),
            "GTI_BENCH_DATA": str(inputs / "data"),
            "HF_HUB_OFFLINE": "1",
            "GTI_BENCH_PERF_DEVICE": self.device,
            "GTI_BENCH_PERF_DTYPE": "bfloat16",
            "GTI_BENCH_PERF_BACKBONES": ",".join(self.about["backbones"]),
        }


def step_line(step: Mapping[str, Any]) -> str:
    """A step of the summary in one line."""
    if step["exit"] is None:
        return f"{step['name']:<28} left out: {step['why']}"
    killed = step["exit"] == -signal.SIGKILL
    ending = "killed" if killed else "ended" if step["cut"] else f"exit {step['exit']}"
    ending += " at its limit" * step["cut"]
    return f"{step['name']:<28} {ending:<18} {step['seconds']:>7.1f} s  {step['log']}"


def run_lease(
    pieces: Path,
    out: Path,
    minutes: float,
    device: str,
    workers: int | None = None,
    steps: Sequence[str] = STEPS,
) -> int:
    """Does what was prepared, within `minutes`; returns 0, or 1 where a step failed.

    Args:
        pieces: the folder that `pack` made.
        out: as of `Lease`; a second run there goes on with the results of the first.
        minutes: from now, all that it does included.
        device: "cuda" or "cpu".
        workers: cells side by side; null: one a GPU, or a core.
        steps: which of `STEPS` to do.

    Raises:
        LeaseError: an unknown step, a piece missing or damaged, or no step had time.
    """
    for step in steps:
        if step not in STEPS:
            raise LeaseError(f"unknown step {step!r}; --steps takes some of {','.join(STEPS)}")
    out = out.absolute()
    work = out.with_name(f"{out.name}-work")
    lease = Lease(out, work, read_manifest(pieces)["about"], 60 * minutes, device)
    (out / "logs").mkdir(parents=True, exist_ok=True)
    join_pieces(pieces, work)
    seconds = round(time.monotonic() - lease.began, 1)
    lease.note("join", exit=0, cut=False, seconds=seconds, log="")
    if shutil.which("git") is None:
        print("note: there is no git here, so that records cannot name their commit")
    if (work / "results").is_dir() and not (out / "results").exists():
        shutil.copytree(work / "results", out / "results")
    if (work / "wheels").is_dir():
        _install_wheels(lease)
    if "tests" in steps:
        tests = ["-m", "pytest", "-m", "gpu", *_gpu_tests(work / "code")]
        lease.step("tests", tests, TESTS_SHARE * lease.seconds)
    if "perf" in steps:
        timings = [f"benchmarks/perf/test_{name}.py" for name in PERF]
        figures = f"--benchmark-json={out / 'logs' / 'perf.json'}"
        lease.step("perf", ["-m", "pytest", figures, *timings], PERF_SHARE * lease.seconds)
    for setting in lease.about["settings"] if "cells" in steps else ():
        _run_cells(lease, setting, workers)
    _pack_home(lease)
    done = [step for step in lease.steps[1:] if step["exit"] is not None]
    if not done:
        raise LeaseError(f"no step had time within {minutes:g} minutes; give more --minutes")
    # A step may be ended at its limit, but one that had to be killed has lost something.
    return int(any(s["exit"] == -signal.SIGKILL or (s["exit"] and not s["cut"]) for s in done))


def _install_wheels(lease: Lease) -> None:
    """Unpacks the packed wheels where later steps find them before what this Python has."""
    wheels = [str(path) for path in sorted((lease.work / "wheels").glob("*.whl"))]
    target = ["--upgrade", "--target", str(lease.work / INSTALLED)]
    command = ["-m", "pip", "install", "--no-index", "--no-deps", *target, *wheels]
    lease.step("wheels", command, lease.left)


def _gpu_tests(code: Path) -> list[str]:
    """The files with tests for a GPU: to collect all others takes half a minute."""
    files = sorted((code / "tests").rglob("test_*.py"))
    return [str(file) for file in files if "mark.gpu" in file.read_text(encoding="utf-8")]


def _run_cells(lease: Lease, setting: str, workers: int | None) -> None:
    """`gti-bench run` until the time is over; what is under way is kept in checkpoints."""
    own = lease.work / "inputs" / "settings" / f"{setting}.toml"
    stop = max(1, int(lease.left - AROUND_SECONDS))
    command = [
        "-m", "benchmarks.cli.app", "run", str(own) if own.is_file() else setting,
        "--methods", lease.about["methods"], "--offline", "--device", lease.device,
        "--results", str(lease.out / "results"), "--stop-after", f"{stop}s",
    ]  # fmt: skip
    if lease.about["seeds"] is not None:
        command += ["--seeds", lease.about["seeds"]]
    if workers is not None:
        command += ["--workers", str(workers)]
    # It ends by itself; the signal is for a run that does not.
    lease.step(f"cells-{setting}", command, lease.left, ending=signal.SIGTERM)


def _pack_home(lease: Lease) -> None:
    """Packs records and logs, then checkpoints, which are large, in archives of their own."""
    home, most = lease.out / HOME, int(lease.about["piece_bytes"])
    begin_pieces(home, {"from": lease.about})
    light = {name: lease.out / name for name in ("summary.json", "logs")}
    heavy: dict[str, Path] = {}
    for path in sorted((lease.out / "results").rglob("*")):
        inside = path.relative_to(lease.out).as_posix()
        if path.is_file() and path.suffix != ".running":
            (heavy if ".checkpoint/" in inside else light)[inside] = path
    count = add_archive(home, "records", light, most, squeeze=True)
    if heavy:
        count += add_archive(home, "checkpoints", heavy, most, squeeze=False)
    size = sum(path.stat().st_size for path in home.iterdir()) / MEBIBYTE
    print(f"bring home: {home}, {count} pieces and a manifest, {size:.1f} MiB")
