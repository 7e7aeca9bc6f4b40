"""Datasets made from large raw files, kept in the cache, so that a cell reads them in a moment."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.machine.cache import cache_root, is_intact, publish_folder
from gti.data.dataset import Dataset, Provenance
from leaderboard.records.canonical import file_sha256

_FILE = "dataset.json"
_FORM = "2"
"""Number of the loaders' rules: raise it where what they make of the same files changes."""


def stored_folder(about: dict[str, str]) -> Path:
    """Where the dataset made from `about` is kept."""
    content = json.dumps({**about, "form": _FORM}, sort_keys=True)
    return cache_root() / "datasets" / hashlib.sha256(content.encode()).hexdigest()[:24]


def stored(about: dict[str, str]) -> Dataset | None:
    """The dataset made from `about`, or null where the cache does not hold it."""
    folder = stored_folder(about)
    if not is_intact(folder, {**about, "form": _FORM}):
        return None
    content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    tied = content["tied_last"]
    return Dataset(
        name=content["name"],
        item_ids=tuple(content["item_ids"]),
        texts=tuple(content["texts"]),
        user_ids=tuple(content["user_ids"]),
        histories=tuple(np.array(items, dtype=np.int64) for items in content["histories"]),
        tied_last=None if tied is None else np.array(tied, dtype=bool),
        provenance=Provenance(**content["provenance"]),
    )


def stored_or_made(about: dict[str, str], make: Callable[[], Dataset]) -> Dataset:
    """The dataset made from `about`: from the cache, else by `make` and then kept.

    Args:
        about: all that decides what is made: files by hash, options, the revision.
        make: reads the raw files.

    Raises:
        CacheError: the cache is full or cannot be written.
    """
    found = stored(about)
    if found is not None:
        return found
    dataset = make()
    content = {
        "name": dataset.name,
        "item_ids": dataset.item_ids,
        "texts": dataset.texts,
        "user_ids": dataset.user_ids,
        "histories": [history.tolist() for history in dataset.histories],
        "tied_last": None if dataset.tied_last is None else dataset.tied_last.tolist(),
        "provenance": asdict(dataset.provenance),
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    def fill(folder: Path) -> None:
        (folder / _FILE).write_text(text, encoding="utf-8")

    publish_folder(stored_folder(about), {**about, "form": _FORM}, fill)
    return dataset


def file_hashes(paths: list[Path]) -> dict[str, str]:
    """File name → sha256."""
    return {path.name: file_sha256(path) for path in paths}
