"""Runs the missing cells of a plan side by side, one process per cell."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cell.job import Job
from benchmarks.machine.environment import one_thread_environment
from benchmarks.machine.events import Event
from benchmarks.machine.places import ROOT
from benchmarks.machine.stages import stage_table
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell
from benchmarks.run.progress import Display, Running, RunProgress
from leaderboard.records.canonical import write_atomically
from leaderboard.render.numbers import duration

Events = queue.Queue[tuple[int, Event | None]]
"""Pairs of a worker's number and its event; the event is null when the process has ended."""


class RunError(RuntimeError):
    """A run that cannot start; the message says what stands in the way and what to do."""


@dataclass(frozen=True)
class Failure:
    """A cell that failed, and why."""

    cell: PlannedCell
    message: str


def check_results_writable(results: Path) -> None:
    """Writes and removes a small file, so that a full or read-only disk shows before the work."""
    try:
        probe = results / f".writable-{os.getpid()}"
        write_atomically(probe, b"gti-bench\n")
        probe.unlink()
    except OSError as error:
        raise RunError(
            f"cannot write to the results directory {results}: {error.strerror or error};"
            " free space, or name another one with --results"
        ) from error


def check_states(cells: Sequence[PlannedCell], *, replace: bool) -> list[PlannedCell]:
    """The cells to run; a record of another hash in a cell's place is refused unless `replace`.

    Raises:
        RunError: names the first such record.
    """
    blocked = [cell for cell in cells if cell.state in ("other", "inputs", "damaged")]
    if blocked and not replace:
        first = blocked[0]
        reasons = {
            "other": "holds another setting, method version, rate or protocol than this run's, or"
            " was made with --plain where this run is not (or the other way round)",
            "inputs": f"was {first.why}",
            "damaged": "cannot be read, was changed, or lacks a sidecar (`gti-bench verify` says"
            " which)",
        }
        more = f" (and {len(blocked) - 1} more)" if len(blocked) > 1 else ""
        raise RunError(
            f"{first.path} {reasons[first.state]}{more}; --replace runs it anew over it,"
            " --results DIR writes elsewhere"
        )
    return [cell for cell in cells if cell.state != "done"]


class Worker:
    """A process that runs one cell; its events go to a shared queue.

    Args:
        number: names it in the queue.
        cell: what it runs.
        job: what it is asked to do.
        events: where it tells what happens.
    """

    def __init__(self, number: int, cell: PlannedCell, job: Job, events: Events) -> None:
        self.number, self.cell = number, cell
        self.outcome: Event | None = None
        environment = one_thread_environment()
        path = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = str(ROOT) if not path else f"{ROOT}{os.pathsep}{path}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cell.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            # Ctrl-C reaches the parent alone, which then ends its workers.
            start_new_session=True,
        )
        self.errors: list[str] = []
        assert self.process.stdin is not None
        line = json.dumps({**job.model_dump(mode="json"), "parent": os.getpid()})
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; the readers below say why
        self.error_reader = threading.Thread(target=self._read_errors, daemon=True)
        self.error_reader.start()
        threading.Thread(target=self._read, args=(events,), daemon=True).start()

    def _read(self, events: Events) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                self.errors.append(line.rstrip())
                continue
            events.put((self.number, event))
        self.process.wait()
        self.error_reader.join(timeout=5)
        events.put((self.number, None))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line.rstrip())
            del self.errors[:-40]

    def kill(self) -> None:
        """Ends the process at once; its cell leaves nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def message(self) -> str:
        """Why it failed, in one line."""
        if self.outcome is not None:
            return str(self.outcome["message"])
        code = self.process.returncode
        last = next((line for line in reversed(self.errors) if line.strip()), "no message")
        if code is not None and code < 0:
            hint = " (out of memory? try fewer --workers)" if code == -9 else ""
            return f"worker was ended by signal {-code}{hint}: {last}"
        return f"worker ended with code {code}: {last}"


def run_cells(
    cells: Sequence[PlannedCell],
    options: RunOptions,
    *,
    prior: float | None = None,
    after_seed: Callable[[], str] | None = None,
    once: Mapping[str, float] | None = None,
) -> list[Failure]:
    """Runs `cells`, so many at a time as `options` say; a failed cell does not stop the others.

    Args:
        cells: what to run, in this order.
        options: where, on what and how.
        prior: expected seconds of a cell, for the ETA.
        after_seed: gives what to print when all cells of a seed have ended and others are to come.
        once: seconds of what was done for all cells together, for the table of stages.
    """
    workers = options.num_workers
    events: Events = queue.Queue()
    waiting = list(enumerate(cells))
    running: dict[int, Worker] = {}
    failures: list[Failure] = []
    progress = RunProgress(len(cells), workers, prior)
    try:
        with Display(progress) as display:
            while waiting or running:
                while waiting and len(running) < workers:
                    number, cell = waiting.pop(0)
                    running[number] = Worker(number, cell, cell.job(options), events)
                    progress.running[number] = Running(cell.label)
                try:
                    number, event = events.get(timeout=0.25)
                except queue.Empty:
                    display.refresh()
                    continue
                if event is None:
                    ended = running.pop(number)
                    _finish(ended, progress, display, failures)
                    left = [cell for _, cell in waiting] + [w.cell for w in running.values()]
                    if after_seed and left and ended.cell.seed not in {c.seed for c in left}:
                        display.print(after_seed())
                elif event["event"] in ("stage", "progress"):
                    progress.running[number].take(event)
                elif event["event"] == "note":
                    display.say(f"{running[number].cell.label:<20} {event['message']}")
                elif event["event"] == "failed":
                    running[number].outcome = event
                display.refresh()
            if progress.stages:
                display.say(stage_table(progress.stages, once or {}))
    finally:
        for worker in running.values():
            worker.kill()
    return failures


def _finish(
    worker: Worker, progress: RunProgress, display: Display, failures: list[Failure]
) -> None:
    """Books a worker that has ended."""
    state = progress.running.pop(worker.number)
    took = time.monotonic() - state.began
    if worker.process.returncode == 0 and worker.cell.path.exists():
        progress.seconds.append(took)
        progress.stages.append(state.clock.close())
        display.say(
            f"{worker.cell.label:<20} {worker.cell.headline()}  {duration(took)}"
            f"  [{progress.finished}/{progress.total}]"
        )
    else:
        progress.failed += 1
        failures.append(Failure(worker.cell, worker.message()))
        display.say(f"{worker.cell.label:<20} FAILED: {worker.message()}")
