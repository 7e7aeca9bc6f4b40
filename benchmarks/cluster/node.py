"""What runs on a node: a cell in a process of its own, told of by events, brought home as bytes."""

import errno
import json
import platform
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cell.job import Job
from benchmarks.cluster.about import own_code
from benchmarks.cluster.parcel import Parcel, unpack
from benchmarks.machine.cache import cache_root, explained
from benchmarks.machine.events import Event
from benchmarks.run.engine import Events
from benchmarks.run.worker import CellProcess
from leaderboard.records.record import diagnostics_path, ranks_path, record_path

INPUTS = "inputs"
"""Folder of a results directory with the Semantic IDs that its records name."""
KILLED = "killed"
"""The event of a process that a signal ended: not by itself, so the cell may be started again."""
UNFIT = "unfit"
"""The event of a node that cannot run cells at all: other code, or a disk that takes nothing."""

DISK = (errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Errors of a disk that takes nothing: the node's, not the cell's."""


@dataclass(frozen=True)
class Order:
    """One cell for a node to run.

    Attributes:
        job: as for any worker; its results are put elsewhere.
        code: the driver's, which the node must have too.
        shared: a folder that all nodes see, where checkpoints outlive a node; null: none.
    """

    job: Job
    code: Mapping[str, Any]
    shared: str | None


def cell_files(job: Job, results: Path) -> tuple[Path, Path, Path]:
    """Under `results`, the files of the job's cell in the order in which they are written."""
    record = record_path(results, job.setting.name, job.method, job.seed)
    return ranks_path(record), diagnostics_path(record), record


def run_order(
    order: Order,
    parcel: Parcel,
    get: Callable[[Any], bytes],
    wait_for_end: Callable[[], None],
) -> Iterator[bytes]:
    """Runs a cell; gives its events as JSON lines, then each of its files behind a `file` event.

    Args:
        order: what to run.
        parcel: what it reads.
        get: fetches a content of the parcel.
        wait_for_end: returns once the cell is to write a checkpoint and end.
    """
    yield _line({"event": "began"})
    code = own_code()
    if code != order.code:
        here, there = code_words(code), code_words(order.code)
        yield _failed(f"{here} is installed, the driver has {there}", UNFIT)
        return
    with ExitStack() as stack:
        try:
            variables = unpack(parcel, get)
            results = stack.enter_context(_results(order.shared))
        except (RuntimeError, OSError) as error:
            yield _failed(str(error), UNFIT)
            return
        job = order.job.model_copy(update={"results": results, "offline": True})
        yield from _run(job, variables, wait_for_end)


def _run(
    job: Job, variables: Mapping[str, str], wait_for_end: Callable[[], None]
) -> Iterator[bytes]:
    events: Events = queue.Queue()
    process = CellProcess(0, job, events, variables)
    asked = threading.Event()

    def watch() -> None:
        wait_for_end()
        asked.set()
        process.terminate()

    threading.Thread(target=watch, daemon=True).start()
    failed = False
    try:
        while (event := events.get()[1]) is not None:
            if event["event"] != "failed":
                yield _line(event)
                continue
            failed = True
            yield _failed(event["message"], UNFIT if event.get("errno") in DISK else "failed")
    finally:
        process.kill()
        process.close()
    if process.code == 0:
        yield from _files(job)
    elif not failed and not asked.is_set():
        kind = KILLED if process.code is not None and process.code < 0 else "failed"
        yield _failed(process.message(), kind)


def _files(job: Job) -> Iterator[bytes]:
    """The files of the cell, the Semantic IDs that it used first, the record last."""
    results = job.results
    *sidecars, record = cell_files(job, results)
    if not record.is_file():
        return  # asked to end, it has written a checkpoint
    used = json.loads(record.read_bytes())["inputs"]["semantic_ids"]
    artefact = results / INPUTS / f"{used}.npz"
    for path in ([artefact] if artefact.is_file() else []) + [*sidecars, record]:
        yield _line({"event": "file", "path": path.relative_to(results).as_posix()})
        yield path.read_bytes()
    for path in (record, *sidecars):
        path.unlink()


@contextmanager
def _results(shared: str | None) -> Iterator[Path]:
    """Where the cell writes: a folder of its own on this node, or the one that all nodes see."""
    if shared is not None:
        yield Path(shared)
        return
    with explained("make a folder for a cell"):
        folder = tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache_root())
    with folder as name:
        yield Path(name)


def _line(event: Event) -> bytes:
    return json.dumps(event).encode()


def _failed(message: str, kind: str = "failed") -> bytes:
    return _line({"event": kind, "message": f"on node {platform.node()}: {message}"})


def code_words(code: Mapping[str, Any]) -> str:
    """A version of the package in words."""
    commit = "" if code["commit"] is None else f" at {code['commit'][:12]}"
    return f"gti-bench {code['version']}{commit}" + (" with changes" if code["dirty"] else "")


def ask_node() -> dict[str, Any]:
    """What `benchmarks.cluster.about` says on this node, or the last line of why it fails.

    It travels to the node as it is, which may have no such package: all that it uses is Python's.
    """
    # -P: what is installed, not what may lie in the folder where Ray was started.
    command = [sys.executable, "-P", "-m", "benchmarks.cluster.about"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
