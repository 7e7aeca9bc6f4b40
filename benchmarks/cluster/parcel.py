"""Inputs on their way to a node: each file by its hash, fetched only where it is not there yet."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from benchmarks.datasets.card import DATA_VARIABLE
from benchmarks.machine.cache import CacheError, cache_root, explained, publish_file
from benchmarks.run.files_read import CACHE, DATA
from leaderboard.records.canonical import digest_of, file_sha256

BROUGHT = "brought"
"""Folder of the cache for data that lie outside the driver's cache."""


@dataclass(frozen=True)
class ParcelFile:
    """One file.

    Attributes:
        path: `cache/...` or `data/...`, with slashes.
        sha256: of its content.
        content: names the content in the object store.
    """

    path: str
    sha256: str
    content: Any


@dataclass(frozen=True)
class Parcel:
    """All files that the cells of a run read."""

    files: tuple[ParcelFile, ...]

    @property
    def sha256(self) -> str:
        """Hash of all paths and hashes."""
        return digest_of([[file.path, file.sha256] for file in self.files])


def pack(entries: Mapping[str, Path], put: Callable[[bytes], Any]) -> Parcel:
    """Puts all files of `entries` (`benchmarks.run.files_read`) where nodes can fetch them.

    Args:
        entries: `cache/...` or `data/...` → file or folder.
        put: keeps a content, and returns what names it.
    """
    files = []
    for path, place in sorted(entries.items()):
        inside = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for file in inside:
            content = file.read_bytes()
            name = path if file == place else f"{path}/{file.relative_to(place).as_posix()}"
            files.append(ParcelFile(name, hashlib.sha256(content).hexdigest(), put(content)))
    return Parcel(tuple(files))


def unpack(parcel: Parcel, get: Callable[[Any], bytes]) -> dict[str, str]:
    """Fills this node's cache with what it lacks of `parcel`.

    What lies there is read and counts by its hash alone. Of several cells that start at once one
    fetches, the others wait for it.

    Args:
        parcel: from `pack`.
        get: fetches a content by what names it.

    Returns:
        Variables of the environment for processes that read the files.

    Raises:
        CacheError: the cache cannot be written, a path leads out of it, or a content came damaged.
    """
    brought = cache_root() / BROUGHT / parcel.sha256[:32]
    with explained("make room for inputs"):
        cache_root().mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache_root() / f"{parcel.sha256[:32]}.lock")
    with lock:
        for file in parcel.files:
            root, *parts = PurePosixPath(file.path).parts or ("",)
            if root not in (CACHE, DATA) or not parts or ".." in parts:
                raise CacheError(f"{file.path!r} is no path of an input")
            destination = (cache_root() if root == CACHE else brought).joinpath(*parts)
            if destination.is_file() and file_sha256(destination) == file.sha256:
                continue
            content = get(file.content)
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise CacheError(f"{file.path} came damaged from the object store")
            publish_file(destination, content)
    # As the driver sees it: data that it was not told of are not there.
    return {DATA_VARIABLE: str(brought)}
