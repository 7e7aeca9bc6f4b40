"""The cache folder: where fetched and derived inputs lie, and how they get there in one piece.

A folder is first made in a temporary folder of the cache and then renamed, so a kill leaves nothing
half-written under a final name, and two processes that make the same thing at once do not disturb
each other: the first rename wins, the second finds the work done. A stamp in the folder holds the
hash of each file, so that damage is noticed before use.
"""

import errno
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leaderboard.records.canonical import file_sha256, write_atomically

CACHE_VARIABLE = "GTI_BENCH_CACHE"
_TEMPORARY = "unfinished-"
_STALE_SECONDS = 24 * 3600
_STAMP = "stamp.json"


class CacheError(RuntimeError):
    """The cache folder cannot be used; the message names it, the cause and the way out."""


def cache_root() -> Path:
    """The cache folder: `GTI_BENCH_CACHE`, else the platform's own place for caches."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "gti-bench"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gti-bench"
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "gti-bench"


def cache_error(action: str, cause: str) -> CacheError:
    """The error for an `action` (such as "unpack recbole") that the cache does not allow."""
    return CacheError(
        f"cannot {action} in the cache {cache_root()}: {cause}; free some space there or set"
        f" {CACHE_VARIABLE} to another folder"
    )


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turns an `OSError` in the block into a `CacheError` that says what to do about it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            cause = "the disk is full"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            cause = "the folder cannot be written"
        else:
            cause = str(error)
        raise cache_error(action, cause) from error


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A fresh folder inside the cache (so that a rename out of it is atomic), removed at the end.

    Folders that a killed process left behind are cleared away once they are a day old.
    """
    root = cache_root()
    with explained("make a temporary folder"):
        root.mkdir(parents=True, exist_ok=True)
        _clear_stale(root)
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_folder(destination: Path, about: dict[str, str], fill: Callable[[Path], None]) -> None:
    """Makes the folder `destination` by `fill`, stamped and atomically.

    Args:
        destination: a folder under `cache_root()`; if another process publishes it first, its
            work is kept and ours dropped; if what lies there is damaged, it is replaced.
        about: what the content was made from; `is_intact` asks for the same.
        fill: writes the content into the empty folder that it is given.

    Raises:
        CacheError: the cache is full or cannot be written.
    """
    with temporary_folder() as scratch, explained(f"write {destination.name}"):
        made = scratch / "made"
        made.mkdir()
        fill(made)
        (made / _STAMP).write_text(json.dumps(_stamp(made, about), indent=1), encoding="utf-8")
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.is_dir() and not is_intact(destination, about):
            # Renamed away first, so that no one sees half of it.
            destination.rename(scratch / "damaged")
        try:
            made.rename(destination)
        except OSError:
            # Renaming onto a folder that has content fails on every platform: someone was first.
            if not is_intact(destination, about):
                raise


def is_intact(folder: Path, about: dict[str, str]) -> bool:
    """Whether a published folder was made from `about` and its files are as they were then.

    Cheap: a file is hashed again only where its time of change differs (in a copied cache, say).
    """
    try:
        stamp = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
        return bool(stamp["about"] == about) and all(
            _as_stamped(folder / name, entry) for name, entry in stamp["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def publish_file(destination: Path, content: bytes) -> None:
    """Writes `content` to `destination` (under `cache_root()`), atomically.

    Raises:
        CacheError: the cache is full or cannot be written.
    """
    with explained(f"write {destination.name}"):
        write_atomically(destination, content)


def _stamp(folder: Path, about: dict[str, str]) -> dict[str, Any]:
    """Size, time of change and sha256 of every file in `folder`."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        files[path.relative_to(folder).as_posix()] = {
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": file_sha256(path),
        }
    return {"about": about, "files": files}


def _as_stamped(path: Path, entry: dict[str, Any]) -> bool:
    """Whether a file is what its entry in the stamp says."""
    status = path.stat()
    if status.st_size != entry["size"]:
        return False
    return bool(status.st_mtime_ns == entry["mtime_ns"] or file_sha256(path) == entry["sha256"])


def _clear_stale(root: Path) -> None:
    """Removes temporary folders older than a day."""
    now = time.time()
    for folder in root.glob(f"{_TEMPORARY}*"):
        try:
            stale = now - folder.stat().st_mtime > _STALE_SECONDS
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(folder, ignore_errors=True)
