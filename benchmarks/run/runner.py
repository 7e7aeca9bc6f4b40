"""Runs the missing cells of a plan side by side, wherever an engine runs them."""

import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cell.leftovers import checkpoint_folder, leftovers, remove_leftovers
from benchmarks.machine.stages import stage_table
from benchmarks.run.claims import Claim, holder
from benchmarks.run.engine import BROKEN, Engine, EngineError, Events, Work
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell
from benchmarks.run.progress import Display, Running, RunProgress
from benchmarks.run.stopping import Stop
from benchmarks.run.worker import LocalEngine
from leaderboard.records.canonical import write_atomically
from leaderboard.render.numbers import duration

GRACE_SECONDS = 60.0
"""What a worker that is asked to end may take: a step, and a checkpoint of a large model."""
LOOK_SECONDS = 2.0
"""How often cells that another run works on are looked at again."""


class RunError(RuntimeError):
    """A run that cannot start; the message says what stands in the way and what to do."""


@dataclass(frozen=True)
class Failure:
    """A cell that failed, and why."""

    cell: PlannedCell
    message: str


@dataclass(frozen=True)
class Outcome:
    """How a run of cells ended.

    Attributes:
        failures: the cells that failed.
        left: those that are still to be done, because the run was stopped.
        broken: why no cell could run any more; null where that did not happen.
    """

    failures: list[Failure]
    left: list[PlannedCell]
    broken: str | None = None


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


def tidy(cells: Sequence[PlannedCell]) -> None:
    """Removes what kills left beside finished cells, but nothing where another run works."""
    for cell in cells:
        if cell.state != "done" or not leftovers(cell.path):
            continue
        claim = Claim.take(cell.path)
        if claim is not None:
            remove_leftovers(cell.path)
            claim.release()


def run_cells(
    cells: Sequence[PlannedCell],
    options: RunOptions,
    *,
    prior: float | None = None,
    after_seed: Callable[[], str] | None = None,
    once: Mapping[str, float] | None = None,
    stop: Stop | None = None,
    shared: bool = False,
    engine: Engine | None = None,
) -> Outcome:
    """Runs `cells`, so many at a time as `options` say; a failed cell does not stop the others.

    Args:
        cells: what to run, in this order.
        options: where, on what and how.
        prior: expected seconds of a cell, for the ETA and for `stop`.
        after_seed: gives what to print when all cells of a seed have ended and others are to come.
        once: seconds of what was done for all cells together, for the table of stages.
        stop: what ends the run early; null: nothing.
        shared: other runs may work on the same cells: each is claimed, and those that others
            claimed are waited for at the end.
        engine: where they run; null: in processes of this machine.
    """
    engine = engine or LocalEngine(options)
    run = _Run(cells, options, engine, stop or Stop(), prior, shared=shared)
    try:
        with run.stop.orderly(), Display(run.progress) as display:
            run.work(display, after_seed)
            run.end(display)
            if run.progress.stages:
                display.say(stage_table(run.progress.stages, once or {}))
    finally:
        run.kill()
    return Outcome(run.failures, run.left, run.broken)


class _Run:
    """Cells on their way, each in one of these: waiting, held by others, running, ended.

    Args:
        cells, options, engine, stop, prior, shared: as for `run_cells`.
    """

    def __init__(
        self,
        cells: Sequence[PlannedCell],
        options: RunOptions,
        engine: Engine,
        stop: Stop,
        prior: float | None,
        *,
        shared: bool,
    ) -> None:
        self.options, self.engine, self.stop, self.shared = options, engine, stop, shared
        self.events: Events = queue.Queue()
        self.waiting = list(cells)
        self.held: list[PlannedCell] = []
        self.running: dict[int, Work] = {}
        self.unfinished: list[PlannedCell] = []
        self.failures: list[Failure] = []
        self.progress = RunProgress(len(cells), engine.places, prior)
        # Where a record is missing, what lies there by now is another run's.
        self.stamps = {c.path: None if c.state == "missing" else _stamp(c) for c in cells}
        self.broken: str | None = None
        self.started = 0
        self.looked = time.monotonic()
        self.told_of_others = False

    @property
    def left(self) -> list[PlannedCell]:
        """What is neither done nor failed."""
        running = [work.cell for work in self.running.values()]
        return [*self.unfinished, *running, *self.waiting, *self.held]

    def work(self, display: Display, after_seed: Callable[[], str] | None) -> None:
        """Until all is done, the run is to end, or nothing of what is left may start."""
        while not self.stop.due and not self.broken and self.left:
            try:
                self._start(display)
            except EngineError as error:
                self.broken = str(error)
                return
            if not self.running and (not self.held or self.stop.after is not None):
                return  # what waits would not end in time, what others hold is theirs to end
            self._keep_claims(display)
            ended = self._take_event(display)
            seeds = {cell.seed for cell in self.left}
            if ended and after_seed and seeds and ended.cell.seed not in seeds:
                display.print(after_seed())

    def end(self, display: Display) -> None:
        """Asks what still runs to end, and books what ends well after all."""
        for work in self.running.values():
            work.terminate()
        until = time.monotonic() + GRACE_SECONDS
        while self.running and time.monotonic() < until:
            self._take_event(display)

    def kill(self) -> None:
        """Ends what still runs."""
        for work in self.running.values():
            work.kill()

    def _start(self, display: Display) -> None:
        """Starts what may start, as many side by side as asked for."""
        if self.held and time.monotonic() - self.looked > LOOK_SECONDS:
            self.waiting, self.held = self.waiting + self.held, []
            self.looked = time.monotonic()
        places = self.progress.workers = self.engine.places
        for cell in tuple(self.waiting):
            if len(self.running) >= places:
                return
            resumed = checkpoint_folder(cell.path).is_dir()
            if not self.stop.allows(self.progress.expected, resumed=resumed):
                continue
            self.waiting.remove(cell)
            claim = Claim.take(cell.path) if self.shared else None
            if self.shared and claim is None:
                self.held.append(cell)
            elif _stamp(cell) != self.stamps[cell.path]:
                self._leave_to_other(cell, display)
                if claim is not None:
                    claim.release()
            else:
                self._launch(cell, claim)
        if self.held and not self.running and not self.told_of_others and self.stop.after is None:
            self.told_of_others = True
            who = holder(self.held[0].path)
            display.say(f"waiting for {len(self.held)} cells that another run works on ({who})")

    def _launch(self, cell: PlannedCell, claim: Claim | None) -> None:
        """Starts a cell."""
        # Never one number twice: events of work that was killed may still come.
        self.started += 1
        number, beside = self.started, self.running.values()
        self.running[number] = self.engine.launch(number, cell, self.events, claim, beside)
        self.progress.running[number] = Running(cell.label)

    def _leave_to_other(self, cell: PlannedCell, display: Display) -> None:
        """Books a cell in whose place another run wrote a record since this one looked."""
        self.progress.total -= 1
        if cell.state_now(plain=self.options.plain) == "done":
            display.say(f"{cell.label:<20} done by another run")
            return
        self.failures.append(
            Failure(
                cell,
                f"another run has meanwhile written {cell.path}, of another setting or method;"
                " --replace runs it anew over it, --results DIR writes elsewhere",
            )
        )

    def _keep_claims(self, display: Display) -> None:
        """Renews the claims; a cell whose claim was taken over is the other run's."""
        for number, work in tuple(self.running.items()):
            if work.claim is not None and not work.claim.beat():
                work.kill()
                del self.running[number], self.progress.running[number]
                self.held.append(work.cell)
                display.say(f"{work.cell.label:<20} taken over by {holder(work.cell.path)}")

    def _take_event(self, display: Display) -> Work | None:
        """Waits a moment for an event; returns the work that has ended, if any has."""
        ended = None
        try:
            number, event = self.events.get(timeout=0.25)
        except queue.Empty:
            display.refresh()
            return None
        if number in self.running:  # not of work that was killed
            if event is None:
                ended = self.running.pop(number)
                self._book(ended, display)
            elif event["event"] in ("stage", "progress"):
                self.progress.running[number].take(event)
            elif event["event"] == "note":
                display.say(f"{self.running[number].cell.label:<20} {event['message']}")
            elif event["event"] == "failed":
                self.running[number].outcome = event
            elif event["event"] == BROKEN:
                self.broken = event["message"]
        display.refresh()
        return ended

    def _book(self, work: Work, display: Display) -> None:
        """Books work that has ended."""
        work.release()
        state = self.progress.running.pop(work.number)
        took, cell = time.monotonic() - state.began, work.cell
        written = _stamp(cell) not in (None, self.stamps[cell.path])
        # One that was asked to end may have been about to.
        if written and (work.went_well or self.stop.due):
            self.progress.seconds.append(took)
            self.progress.stages.append(state.clock.close())
            display.say(
                f"{cell.label:<20} {cell.headline()}  {duration(took)}"
                f"  [{self.progress.finished}/{self.progress.total}]"
            )
        elif (self.stop.due or self.broken) and work.outcome is None:
            self.unfinished.append(cell)
        else:
            self.progress.failed += 1
            self.failures.append(Failure(cell, work.message()))
            display.say(f"{cell.label:<20} FAILED: {work.message()}")


def _stamp(cell: PlannedCell) -> tuple[int, int] | None:
    """Tells the record in the cell's place from one written later; null where there is none."""
    try:
        found = cell.path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
