"""Kills cells again and again: `python -m benchmarks.perf.kills`, here `ml-100k-nano` cut short.

Cells run with a checkpoint every second or so, and SIGKILL falls on them at moments drawn from a
seed, each time on the process that went on where the one before it was killed, until the record
stands. In most rounds it is the worker that is killed, in some the whole `run`. What then lies in
the results is compared with what an undisturbed worker left, times and peaks of memory apart.
"""

import argparse
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
from tabulate import tabulate

from baselines.registry import select_methods
from benchmarks.cell.identity import parameters_of
from benchmarks.inputs.catalogue import find_setting, setting_path
from benchmarks.machine.places import ROOT
from benchmarks.machine.stages import NAMES
from benchmarks.run.plan import plan_cells
from benchmarks.run.runner import tidy
from leaderboard.records.record import diagnostics_path, ranks_path, read_content, record_path

SEED = 0
"""Of the cells."""
STARTING = ("start", "data", "load")
"""Stages that every process begins with, so that no checkpoint can save them."""
LATEST = 0.5
"""The first kill falls in this share of an undisturbed process's time at the latest."""
LATER = 0.2
"""By so much of that each next one may fall later: a slow machine comes to the end as well."""
MEASURED = ("seconds", "peak_memory_bytes", "device_flops", "utilisation")
"""Figures of a record that no two runs share."""
WHOLE_RUN = "the whole run, at any stage"

FORKS = """
import os, sys
import torch, transformers.models.llama.modeling_llama
import benchmarks.cell.cell, benchmarks.inputs.inputs, baselines.registry, benchmarks.cell.worker
for line in sys.stdin:
    own, events = line.split()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(own, os.O_RDONLY), 0)
        os.dup2(os.open(events, os.O_WRONLY), 1)
        os._exit(benchmarks.cell.worker.main())
    print(child, flush=True)
    os.waitpid(child, 0)
"""
RUN = """
import sys
from pathlib import Path
from benchmarks.run.options import RunOptions
from benchmarks.run.run import run_setting
setting, methods, seed, results, every = sys.argv[1:]
options = RunOptions(
    results=Path(results), workers=1, device="cpu", offline=True, checkpoint_seconds=float(every)
)
sys.exit(run_setting(setting, methods, seed, options, lambda line: None))
"""


@dataclass(frozen=True)
class Kill:
    """Where a kill fell.

    Attributes:
        stage: as in a worker's events.
        lost: seconds of work since the last checkpoint; zero while the process still started, null
            where nobody could see it.
    """

    stage: str
    lost: float | None


@dataclass(frozen=True)
class Round:
    """A cell that was killed until its record stood.

    Attributes:
        method: its key.
        kills: where they fell.
        differences: what is not as an undisturbed run left it.
    """

    method: str
    kills: Sequence[Kill]
    differences: Sequence[str]


class Workers:
    """Real workers with one cell each, to be killed at chosen moments.

    They are forked from a process that has loaded the libraries, so that a kill costs a second.

    Args:
        setting: file of the setting.
        folder: for the pipes to them.
        every: seconds from one checkpoint to the next.
    """

    def __init__(self, setting: Path, folder: Path, every: float) -> None:
        self.file, self.every = find_setting(str(setting)), every
        self.pipes = (folder / "job", folder / "events")
        for pipe in self.pipes:
            os.mkfifo(pipe)

    def __enter__(self) -> "Workers":
        """Starts the process that they are forked from."""
        self.parent = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(self, *error: object) -> None:
        """Ends it."""
        with self.parent:
            _pipe(self.parent.stdin).close()

    def start(self, method: str, results: Path) -> tuple[int, TextIO, TextIO]:
        """Starts a cell: its process, its input, which must stay open, and what it says."""
        (chosen,) = select_methods(method)
        job = {
            "setting": self.file.setting.model_dump(mode="json"),
            "method": method,
            "parameters": parameters_of(self.file, chosen).model_dump(mode="json"),
            "seed": SEED,
            "results": str(results),
            "device": "cpu",
            "offline": True,
            "checkpoint_seconds": self.every,
        }
        order = _pipe(self.parent.stdin)
        order.write(" ".join(map(str, self.pipes)) + "\n")
        order.flush()
        child = int(_pipe(self.parent.stdout).readline())
        own, events = self.pipes[0].open("w"), self.pipes[1].open()
        own.write(json.dumps(job) + "\n")
        own.flush()
        return child, own, events

    def kill_after(self, method: str, results: Path, seconds: float | None) -> Kill | None:
        """Kills a cell after so many seconds, or never; null where it had ended before.

        Raises:
            RuntimeError: the cell failed; with its message.
        """
        child, own, events = self.start(method, results)
        timer = threading.Timer(seconds or 0.0, _kill, [child])
        stage, kept, last = STARTING[0], None, None
        with events, own:
            if seconds is not None:
                timer.start()
            for line in events:
                if not line.endswith("\n"):
                    break  # killed while it spoke
                last = json.loads(line)
                if last["event"] == "failed":
                    raise RuntimeError(f"{method}: {last['message']}")
                if last["event"] != "stage":
                    continue
                if stage == "checkpoint" or (kept is None and last["stage"] not in STARTING):
                    kept = time.monotonic()
                stage = last["stage"]
            ended = time.monotonic()
            timer.cancel()
        if last is not None and last["event"] == "done":
            return None
        return Kill(stage, 0.0 if kept is None else ended - kept)


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(process, signal.SIGKILL)


def run(setting: Path, methods: str, results: Path, every: float, limit: float | None) -> bool:
    """`gti-bench run`, killed after `limit` seconds; whether it ended by itself.

    Raises:
        RuntimeError: a cell failed.
    """
    arguments = [str(setting), methods, str(SEED), str(results), str(every)]
    command = [sys.executable, "-c", RUN, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    if code != 0:
        raise RuntimeError(f"the run of {methods} ended with code {code}")
    return True


def lasting(value: Any) -> Any:
    """`value` of a record without what no two runs share."""
    if isinstance(value, dict):
        return {name: lasting(own) for name, own in value.items() if name not in MEASURED}
    return [lasting(own) for own in value] if isinstance(value, list) else value


def differences(found: Path, whole: Path) -> list[str]:
    """What a record and the files beside it have other than those of an undisturbed run.

    Args:
        found: the record.
        whole: the one of the undisturbed run.
    """
    one, other = (lasting(read_content(path)) for path in (found, whole))
    for content in (one, other):
        del content["digest"]  # of all, times too
        content["cost"].pop("checkpoint", None)  # of time alone
    unlike = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    for sidecar in (ranks_path, diagnostics_path):
        if sidecar(found).read_bytes() != sidecar(whole).read_bytes():
            unlike.append(sidecar(found).name)
    more = {path.name for path in found.parent.iterdir()}
    more -= {path.name for path in whole.parent.iterdir()}
    return unlike + [f"left behind: {name}" for name in sorted(more)]


def disturbed(attempt: Callable[[float], Kill | None], record: Path, most: int) -> list[Kill]:
    """Kills until `record` stands, but not more than `most` times; where they fell.

    Args:
        attempt: starts what is killed, so many times as late as the first one at the latest, and
            tells where that was; null where it came to its end.
        record: of the cell.
        most: kills.
    """
    kills: list[Kill] = []
    while len(kills) < most and not record.exists():
        kill = attempt(1 + LATER * len(kills))
        if kill is None:
            break
        kills.append(kill)
    return kills


def rounds(
    setting: Path, methods: Sequence[str], kills: int, folder: Path, *, seed: int, every: float,
    run_rounds: int,
) -> Iterator[Round]:  # fmt: skip
    """Cells of each method in turn, until all `kills` have fallen.

    Args:
        setting: file of the setting.
        methods: keys.
        kills: how many.
        folder: where results go.
        seed: of the moments.
        every: seconds from one checkpoint to the next.
        run_rounds: in one round of so many the whole `run` is killed; 0: in none.
    """
    file, rng, left = find_setting(str(setting)), np.random.default_rng(seed), kills
    whole, seconds = folder / "whole", dict.fromkeys(methods, 0.0)
    with Workers(setting, folder, every) as workers:
        for method in methods:
            began = time.monotonic()
            workers.kill_after(method, whole, None)
            seconds[method] = LATEST * (time.monotonic() - began)
        began = time.monotonic()
        if run_rounds:
            run(setting, methods[0], folder / "run", every, None)
        run_seconds = LATEST * (time.monotonic() - began)
        for number in itertools.count(1):
            method, results = methods[number % len(methods)], folder / f"round-{number}"
            record = record_path(results, file.setting.name, method, SEED)

            def worker(later: float, method: str = method, results: Path = results) -> Kill | None:
                limit = later * rng.uniform(0, seconds[method])
                return workers.kill_after(method, results, limit)

            def whole_run(
                later: float, method: str = method, results: Path = results
            ) -> Kill | None:
                limit = later * rng.uniform(0, run_seconds)
                ended = run(setting, method, results, every, limit)
                return None if ended else Kill(WHOLE_RUN, None)

            if run_rounds and number % run_rounds == 0:
                fallen = disturbed(whole_run, record, left)
                run(setting, method, results, every, None)  # to its end
            else:
                fallen = disturbed(worker, record, left)
                if not record.exists():
                    workers.kill_after(method, results, None)
                tidy(plan_cells(file, select_methods(method), [SEED], results))  # as `run` does
            other = record_path(whole, file.setting.name, method, SEED)
            yield Round(method, fallen, differences(record, other))
            left -= len(fallen)
            if left <= 0:
                return


def short_setting(folder: Path, users: int = 40) -> Path:
    """`ml-100k-nano` with few users and little grounding: a cell of less than a minute."""
    changes = {
        r"^name = .*": 'name = "ml-100k-nano-short"',
        r"^\[dataset\]$": f"[dataset]\nsample_users = {users}",
        r"^grounding_passes = .*": "grounding_passes = 0.3",
        r"^validation_users = .*": "validation_users = 10",
    }
    text = setting_path("ml-100k-nano").read_text(encoding="utf-8")
    for line, new in changes.items():
        text, found = re.subn(line, new, text, count=1, flags=re.MULTILINE)
        assert found == 1, line
    path = folder / "ml-100k-nano-short.toml"
    path.write_text(text, encoding="utf-8")
    return path


def table(done: Sequence[Round]) -> str:
    """Kills by stage and method, and what each lost at most."""
    methods = list(dict.fromkeys(each.method for each in done))
    counts: Mapping[str, Mapping[str, int]] = {
        stage: {
            method: sum(
                kill.stage == stage for each in done if each.method == method for kill in each.kills
            )
            for method in methods
        }
        for stage in [*NAMES, WHOLE_RUN]
    }
    rows = []
    for stage, own in counts.items():
        lost = [
            kill.lost
            for each in done
            for kill in each.kills
            if kill.stage == stage and kill.lost is not None
        ]
        if any(own.values()):
            most = f"{max(lost):.1f} s" if lost else "–"
            rows.append([NAMES.get(stage, stage), *own.values(), sum(own.values()), most])
    every = [sum(own[method] for own in counts.values()) for method in methods]
    rows.append(["all", *every, sum(every), ""])
    header = ["killed in", *methods, "kills", "work lost at most"]
    return tabulate(rows, header, tablefmt="pipe")


def main(arguments: Sequence[str] | None = None) -> int:
    """Kills, prints the table and what differs; 0 where nothing does, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", type=Path, help="a file; default: ml-100k-nano cut short")
    parser.add_argument("--methods", default="gti,lc_rec,mean,gti_two_phase")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between checkpoints")
    parser.add_argument(
        "--run-rounds", type=int, default=10, help="in one round of so many the run is killed"
    )
    asked = parser.parse_args(arguments)
    done: list[Round] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setting = asked.setting or short_setting(folder)
        methods = asked.methods.split(",")
        options = {"seed": asked.seed, "every": asked.every, "run_rounds": asked.run_rounds}
        for each in rounds(setting, methods, asked.kills, folder, **options):
            done.append(each)
            print(
                f"{each.method}: {len(each.kills)} kills,"
                f" {', '.join(each.differences) or 'nothing differs'}",
                file=sys.stderr,
                flush=True,
            )
    print(table(done))
    same = sum(not each.differences for each in done)
    print(f"\n{len(done)} cells, {same} of them the same as undisturbed.")
    return 0 if same == len(done) else 1


if __name__ == "__main__":
    sys.exit(main())
