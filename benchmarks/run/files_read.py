"""Which files of cache and data the cells of a setting read, to take to another machine."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.datasets import CARDS as DATASETS
from benchmarks.datasets.card import DATA_VARIABLE
from benchmarks.inputs.backbones import CARDS as BACKBONES
from benchmarks.machine.cache import cache_root
from benchmarks.machine.stages import StageClock
from benchmarks.run.options import CommandError
from benchmarks.run.plan import PlannedCell
from benchmarks.run.run import prepare_inputs
from leaderboard.records.setting import Setting

CACHE, DATA = "cache", "data"
"""The first part of a path: in the cache folder, or in that of data that cannot be fetched."""


def files_read(setting: Setting, cells: Sequence[PlannedCell]) -> dict[str, Path]:
    """What of cache and data `cells` read: `cache/...` or `data/...` → file or folder.

    All is made ready for the cells, as `gti-bench run` does it, and then once more: what that opens
    is what they read.
    """
    prepare_inputs(setting, cells, None, StageClock("data"), offline=True)
    with _opened() as paths:
        prepare_inputs(setting, cells, None, StageClock("data"), offline=True)
    found: dict[str, Path] = {}
    # Whole entries, since not all readers open their files by way of Python.
    roots = {CACHE: (cache_root(), 2), DATA: (_data(), 1)}
    for path in paths:
        for kind, (root, depth) in roots.items():
            if root is not None and path.is_relative_to(root):
                entry = Path(*path.relative_to(root).parts[:depth])
                found[f"{kind}/{entry.as_posix()}"] = root / entry
    return found


def check_movable(setting: Setting) -> None:
    """Refuses a setting that names a folder of this machine.

    Raises:
        CommandError: names it, and where it should lie.
    """
    dataset, backbone, data = setting.dataset.name, setting.backbone.name, _data()
    bare = Path(dataset).name == dataset and data is not None and (data / dataset).is_dir()
    if dataset not in DATASETS and not bare:
        raise CommandError(
            f"setting {setting.name}: dataset {dataset!r} is a folder of this machine alone; put"
            f" it into ${DATA_VARIABLE}, and let the setting name it by the folder's bare name"
        )
    if backbone not in BACKBONES and not backbone.startswith("hub:"):
        raise CommandError(
            f"setting {setting.name}: backbone {backbone!r} is a folder of this machine alone;"
            " take one of `gti-bench list backbones`, or hub:OWNER/NAME@REVISION"
        )


def _data() -> Path | None:
    """The folder of data that cannot be fetched."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named).absolute() if named else None


_NOTED: list[set[Path]] = []
"""While `_opened` is entered: what has been opened since."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _NOTED and isinstance(arguments[0], str | bytes | os.PathLike):
        _NOTED[-1].add(Path(os.fsdecode(arguments[0])).absolute())


@contextmanager
def _opened() -> Iterator[set[Path]]:
    """The files that Python opens in the block."""
    if not _NOTED:
        sys.addaudithook(_note)  # for as long as the process lives
    _NOTED.append(set())
    yield _NOTED[-1]
    _NOTED[-1] = set()
