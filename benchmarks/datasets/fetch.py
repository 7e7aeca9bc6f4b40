"""Fetching of one small file by a pinned sha256, where its licence lets everyone fetch it."""

import hashlib
import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets.card import MissingDataError
from benchmarks.machine.cache import cache_root, is_intact, publish_folder
from gti.data.dataset import DataError

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Download:
    """A file on the network.

    Attributes:
        name: its file name.
        url: where it is.
        sha256: of the file.
        megabytes: its size, for messages.
    """

    name: str
    url: str
    sha256: str
    megabytes: float

    @property
    def folder(self) -> Path:
        """Where it lies once fetched; the hash in the name keeps versions apart."""
        return cache_root() / "downloads" / f"{Path(self.name).stem}-{self.sha256[:12]}"

    @property
    def about(self) -> dict[str, str]:
        """What the stamp of its folder says."""
        return {"url": self.url, "sha256": self.sha256}


ML_1M = Download(
    name="ml-1m.zip",
    url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
    # Of the archive whose md5 GroupLens publishes beside it: c4d9eecfca2ab87c1945afe126590906.
    sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    megabytes=5.9,
)


def fetched(download: Download, *, offline: bool = False) -> Path:
    """The folder with the file, fetched first where it is not in the cache.

    Raises:
        MissingDataError: it is not in the cache, and offline or out of reach.
        DataError: what was fetched is another file than the pinned one.
        CacheError: the cache is full or cannot be written.
    """
    if is_intact(download.folder, download.about):
        return download.folder
    if offline:
        raise MissingDataError(
            f"{download.name} is not in the cache {cache_root()} and --offline forbids fetching it"
        )
    content = _answer(download.url)
    found = hashlib.sha256(content).hexdigest()
    if found != download.sha256:
        raise DataError(
            f"{download.url} is another file than the pinned one: expected sha256"
            f" {download.sha256}, found {found}; it was not used"
        )

    def fill(folder: Path) -> None:
        (folder / download.name).write_bytes(content)

    publish_folder(download.folder, download.about, fill)
    return download.folder


def _answer(url: str) -> bytes:
    """What lies at the address."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, http.client.HTTPException) as error:
        raise MissingDataError(f"could not fetch {url}: {error}") from error
