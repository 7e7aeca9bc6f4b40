"""What our process and RecBole's hand to each other, and what can go wrong between them."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine.environment import one_thread_environment
from benchmarks.recbole.install import interpreter
from benchmarks.recbole.models import RECBOLE_VERSION, Model
from gti.data.dataset import Split

DRIVER = Path(__file__).with_name("driver.py")
VARIABLE = "GTI_BENCH_RECBOLE_PYTHON"
PACKAGES = ("recbole", "torch", "numpy", "scipy", "pandas")
PROBE = (
    "import importlib.metadata as m, json, recbole, torch;"
    f"print(json.dumps([{{n: m.version(n) for n in {PACKAGES!r}}}, torch.cuda.is_available()]))"
)
LAST_LINES = 12
"""Lines of a failed driver that are shown."""


class RecBoleError(RuntimeError):
    """RecBole's side cannot be used or failed; the message says why and what to do."""


@dataclass(frozen=True)
class RecBole:
    """RecBole's environment.

    Attributes:
        python: its interpreter.
        packages: versions of what computes.
        cuda: whether its torch sees a GPU.
    """

    python: Path
    packages: dict[str, str]
    cuda: bool


def find_recbole(named: Path | None) -> RecBole:
    """RecBole's environment: the interpreter `named`, or its folder, else the variable's.

    Raises:
        RecBoleError: none is named, it is not there, or RecBole is missing in it or another one.
    """
    way_out = "`tox -e recbole` makes one and uses it"
    given = named or (Path(text) if (text := os.environ.get(VARIABLE)) else None)
    if given is None:
        raise RecBoleError(
            f"RecBole runs in an environment of its own, and neither --recbole-python nor"
            f" {VARIABLE} names its Python; {way_out}"
        )
    python = interpreter(given) if given.is_dir() else given
    if not python.is_file():
        raise RecBoleError(f"no Python at {python}; {way_out}")
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except OSError as error:
        raise RecBoleError(f"cannot run {python}: {error.strerror or error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RecBoleError(f"{python} cannot import RecBole ({last}); {way_out}")
    packages, cuda = json.loads(done.stdout.splitlines()[-1])
    if packages["recbole"] != RECBOLE_VERSION:
        raise RecBoleError(
            f"{python} has RecBole {packages['recbole']}, expected {RECBOLE_VERSION}; {way_out}"
        )
    return RecBole(python, packages, cuda)


def write_job(folder: Path, split: Split, num_items: int, **asked: Any) -> None:
    """Writes what the driver reads: the split, held-out items apart, and what is `asked`."""
    arrays = {
        "train": np.concatenate(split.train).astype(np.int64),
        "lengths": np.array([len(items) for items in split.train], dtype=np.int64),
        "validation": split.validation,
        "test": split.test,
        "num_items": np.array(num_items, dtype=np.int64),
    }
    np.savez(folder / "split.npz", **arrays)  # type: ignore[arg-type]
    (folder / "job.json").write_text(json.dumps(asked), encoding="utf-8")


def check_space(folder: Path, num_users: int, num_items: int) -> None:
    """Two full score matrices of float32 and RecBole's input must fit beside each other.

    Raises:
        RecBoleError: too little disk, with both numbers.
    """
    needed = 2 * 4 * num_users * num_items + (1 << 28)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RecBoleError(
            f"RecBole's scores need about {needed / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} GB"
            " are free; name another folder with the environment variable TMPDIR"
        )


def run_driver(
    recbole: RecBole,
    folder: Path,
    split: Split,
    num_items: int,
    model: Model,
    *,
    max_history: int,
    seed: int,
    device: str,
    threads: int,
    on_epoch: Callable[[int, float], None] | None = None,
) -> dict[str, Any]:
    """Runs one model of RecBole in `folder`, which is empty; its scores lie there afterwards.

    Args:
        recbole: the environment.
        folder: where both sides write.
        split: what is fitted and scored.
        num_items: of the dataset.
        model: which one.
        max_history: how many of the last items a sequential model sees.
        seed: RecBole's seed.
        device: "cpu" or "cuda".
        threads: of torch and of numerical libraries.
        on_epoch: told each epoch's number and validation ndcg@10.

    Returns:
        The driver's report.

    Raises:
        RecBoleError: it failed; with the last lines it printed.
    """
    check_space(folder, len(split.users), num_items)
    write_job(
        folder,
        split,
        num_items,
        model=model.name,
        settings=model.settings_for(max_history),
        sequential=model.sequential,
        seed=seed,
        device=device,
    )
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = one_thread_environment() | dict.fromkeys(names, str(threads))
    process = subprocess.Popen(
        # Isolated: neither our packages nor the user's are on its path.
        [str(recbole.python), "-I", str(DRIVER), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=folder,
        env=environment,
    )
    with _ended_with_us(process):
        lines = _follow(process, on_epoch)
    report = folder / "report.json"
    if process.returncode or not report.is_file():
        shown = "\n  ".join(lines[-LAST_LINES:]) or "no message"
        raise RecBoleError(
            f"RecBole's {model.name} ended with code {process.returncode}; its last lines:\n"
            f"  {shown}"
        )
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


@contextlib.contextmanager
def _ended_with_us(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Ends `process` where ours is interrupted."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _follow(
    process: "subprocess.Popen[str]", on_epoch: Callable[[int, float], None] | None
) -> list[str]:
    """Tells the epochs until the process ends; returns the other lines that it printed."""
    others: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    errors = process.stderr
    reader = threading.Thread(
        target=lambda: others.extend(line.rstrip() for line in errors), daemon=True
    )
    reader.start()
    for line in process.stdout:
        try:
            event = json.loads(line)
            told = (int(event["epoch"]), float(event["ndcg@10"]))
        except (ValueError, TypeError, KeyError):
            others.append(line.rstrip())
            continue
        if on_epoch is not None:
            on_epoch(*told)
    process.wait()
    reader.join(timeout=5)
    return [line for line in others if line.strip()]


def read_scores(folder: Path, part: str, num_users: int, num_items: int) -> NDArray[np.float32]:
    """[users, items] float32 scores of `part`, mapped, not read.

    Raises:
        RecBoleError: no such file, or one of another shape or type.
    """
    path = folder / f"scores-{part}.npy"
    try:
        scores: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise RecBoleError(f"cannot read RecBole's scores {path}: {error}") from error
    if scores.shape != (num_users, num_items) or scores.dtype != np.float32:
        raise RecBoleError(
            f"{path} holds {scores.dtype} of shape {scores.shape}, expected float32 of shape"
            f" {(num_users, num_items)}"
        )
    return scores
