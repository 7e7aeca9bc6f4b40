"""A process that runs one cell, as the runner sees it."""

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress

from benchmarks.cell.job import Job
from benchmarks.machine.environment import one_thread_environment
from benchmarks.machine.events import Event
from benchmarks.machine.places import ROOT
from benchmarks.run.claims import Claim
from benchmarks.run.plan import PlannedCell

Events = queue.Queue[tuple[int, Event | None]]
"""Pairs of a worker's number and its event; the event is null when the process has ended."""


class Worker:
    """A process that runs one cell; its events go to a shared queue.

    Args:
        number: names it in the queue.
        cell: what it runs.
        job: what it is asked to do.
        events: where it tells what happens.
        gpu: the only one that it sees, as CUDA_VISIBLE_DEVICES names it; null: what this process
            sees.
        claim: on the cell, released when it has ended; null where no other run can come by.
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
        self.number, self.cell, self.gpu, self.claim = number, cell, gpu, claim
        self.outcome: Event | None = None
        environment = one_thread_environment()
        path = environment.get("PYTHONPATH")
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
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
        """Ends the process at once; its cell leaves no record behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.release()

    def release(self) -> None:
        """Lets go of the pipe and the cell; the process must have ended."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        if self.claim is not None:
            self.claim.release()

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
