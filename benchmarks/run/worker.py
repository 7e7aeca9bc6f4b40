"""Cells on this machine: each a process of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from benchmarks.cell.job import Job
from benchmarks.machine.environment import one_thread_environment
from benchmarks.machine.events import Say
from benchmarks.machine.places import ROOT
from benchmarks.run.claims import Claim
from benchmarks.run.engine import Engine, Events, Work
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell
from leaderboard.records.setting import Setting


class ThisMachine:
    """The site whose cells run here.

    Args:
        options: as asked.
    """

    def __init__(self, options: RunOptions) -> None:
        self.options = options.resolved()

    def engine(
        self, setting: Setting, cells: Sequence[PlannedCell], expected: float | None
    ) -> Engine:
        """Processes need nothing of it: what they read lies here."""
        return LocalEngine(self.options)


@contextmanager
def this_machine(options: RunOptions, say: Say) -> Iterator[ThisMachine]:
    """Runs cells here, while the block lasts."""
    yield ThisMachine(options)


class LocalEngine:
    """Each cell in a process of this machine, as many side by side as `options` say.

    Args:
        options: with the device resolved.
    """

    def __init__(self, options: RunOptions) -> None:
        self.options, self.places, self.gpus = options, options.num_workers, options.gpus

    def launch(
        self,
        number: int,
        cell: PlannedCell,
        events: Events,
        claim: Claim | None,
        beside: Collection[Work],
    ) -> Work:
        """Starts a worker, on the GPU that serves the fewest."""
        busy = [work.gpu for work in beside if isinstance(work, Worker)]
        gpu = min(self.gpus, key=busy.count, default=None)
        return Worker(number, cell, cell.job(self.options), events, gpu=gpu, claim=claim)


class Worker(Work):
    """A process that runs one cell; its events go to a shared queue.

    Args:
        number, cell, claim: as for `Work`.
        job: what it is asked to do.
        events: where it tells what happens.
        gpu: the only one that it sees, as CUDA_VISIBLE_DEVICES names it; null: what this process
            sees.
    """

    def __init__(
        self,
        number: int,
        cell: PlannedCell,
        job: Job,
        events: Events,
        *,
        gpu: str | None = None,
        claim: Claim | None = None,
    ) -> None:
        super().__init__(number, cell, claim)
        self.gpu = gpu
        gpus = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        self.process = CellProcess(number, job, events, gpus)

    @property
    def went_well(self) -> bool:
        """Whether the process has ended without an error."""
        return self.process.code == 0

    def message(self) -> str:
        """Why it failed, in one line."""
        return self.process.message() if self.outcome is None else str(self.outcome["message"])

    def terminate(self) -> None:
        """Asks the process to end."""
        self.process.terminate()

    def kill(self) -> None:
        """Ends the process at once."""
        self.process.kill()
        self.release()

    def release(self) -> None:
        """Lets go of the pipe and the cell."""
        self.process.close()
        super().release()


class CellProcess:
    """A process that runs one job.

    Args:
        number: names it in the queue.
        job: what it is asked to do.
        events: where it tells what happens.
        variables: of its environment, beside those that every such process has.
    """

    def __init__(self, number: int, job: Job, events: Events, variables: Mapping[str, str]) -> None:
        self.number = number
        environment = {**one_thread_environment(), **variables}
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
        with self.process.stdout as lines:
            for line in lines:
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
        with self.process.stderr as lines:
            for line in lines:
                self.errors.append(line.rstrip())
                del self.errors[:-40]

    def terminate(self) -> None:
        """Asks the process to end: SIGTERM, where there is such a thing."""
        self.process.terminate()

    def kill(self) -> None:
        """Ends the process at once."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Lets go of the pipe; the process must have ended."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    @property
    def code(self) -> int | None:
        """How it ended: 0 well, below 0 by that signal; null while it runs."""
        return self.process.returncode

    def message(self) -> str:
        """Why it ended badly, in one line."""
        last = next((line for line in reversed(self.errors) if line.strip()), "no message")
        if self.code is not None and self.code < 0:
            hint = " (out of memory? try fewer --workers)" if self.code == -9 else ""
            return f"worker was ended by signal {-self.code}{hint}: {last}"
        return f"worker ended with code {self.code}: {last}"
