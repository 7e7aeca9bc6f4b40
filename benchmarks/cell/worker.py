"""One cell in a process of its own: `python -m benchmarks.cell.worker`, a job on its input.

The job is one JSON line; events come back as JSON lines. When the parent goes away its end of the
pipe closes, and the worker ends at once: nothing half-done is ever visible in the results but the
checkpoint from which the cell goes on.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.machine.events import ASKED_TO_END, LineReporter, Report

PR_SET_PDEATHSIG = 1
"""Linux: the signal that a process gets when its parent dies (prctl(2))."""


def _die_with_parent() -> None:
    """Asks Linux to kill this process with its parent, even while a library is being loaded."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_parent() -> None:
    """Ends this process when the other end of standard input closes: works on every system."""
    sys.stdin.read()
    os._exit(3)


def errno_of(error: BaseException | None) -> int | None:
    """The system's number of what lies behind `error`, as `errno.ENOSPC`; null: nothing of it."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return None if error is None else error.errno


def work(content: dict[str, Any], report: Report) -> Path:
    """Runs the cell or trial of the job with this `content` and returns the path of what it left.

    Args:
        content: the fields of a `benchmarks.cell.job.Job`.
        report: told of stages and progress.
    """
    report({"event": "stage", "stage": "start"})
    import torch
    from transformers.utils import logging

    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.use_deterministic_algorithms(True)
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False

    from baselines.registry import select_methods
    from benchmarks.cell.cell import run_cell
    from benchmarks.cell.job import Job
    from benchmarks.cell.spec import CHECKPOINT_SECONDS, CellSpec
    from benchmarks.cell.trial import run_trial
    from benchmarks.inputs.inputs import load_inputs
    from gti.data.semantic_ids import SemanticIds
    from gti.model.devices import choose_device

    job = Job.model_validate(content)
    (method,) = select_methods(job.method)
    every = job.checkpoint_seconds
    stored = job.semantic_ids  # of a rerun: the very ones that the record used
    semantic_ids = None if stored is None else SemanticIds.from_file(stored)
    report({"event": "stage", "stage": "data"})
    spec = CellSpec(
        setting=job.setting,
        parameters=job.parameters,
        method=method,
        seed=job.seed,
        inputs=load_inputs(job.setting, job.seed, offline=job.offline, semantic_ids=semantic_ids),
        device=choose_device(job.device),
        offline=job.offline,
        plain=job.plain,
        checkpoint_seconds=CHECKPOINT_SECONDS if every is None else every,
        report=report,
    )
    if job.trial is None:
        return run_cell(spec, job.results)
    return run_trial(spec, job.trial, job.results)


def main() -> int:
    """Reads the job, runs it, reports; 0 when the record is written, 1 when the cell failed."""
    _die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: ASKED_TO_END.set())
    # Libraries print to standard output; the pipe is for events alone.
    report = LineReporter(os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8"))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job = json.loads(sys.stdin.readline())
    parent = job.pop("parent", os.getppid())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform == "linux" and os.getppid() != parent:
        return 3  # it died before it could be asked for its signal
    try:
        path = work(job, report)
    except Exception as error:
        if job.get("debug"):
            raise
        message = f"{type(error).__name__}: {error}".replace("\n", " ")
        report({"event": "failed", "message": message[:2000], "errno": errno_of(error)})
        return 1
    report({"event": "done", "record": str(path)})
    return 0


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except Exception:
        with suppress(OSError):  # nobody reads it once the parent is gone
            traceback.print_exc()
    with suppress(OSError):
        sys.stderr.flush()
    # Skips the interpreter's slow teardown of torch, which can hang; everything is on disk.
    os._exit(code)
