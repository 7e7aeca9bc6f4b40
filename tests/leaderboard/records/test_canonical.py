"""Files that are whole or not there."""

import errno
import os
from pathlib import Path

import pytest

from leaderboard.records.canonical import write_atomically


def test_a_full_disk_names_the_file_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "seed-0.json"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: nothing is written") as refused:
        write_atomically(path, b"new")
    assert refused.value.errno == errno.ENOSPC
    assert refused.value.filename == str(path)
    assert [(found.name, found.read_bytes()) for found in path.parent.iterdir()] == [
        ("seed-0.json", b"old")
    ]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"a file")
    with pytest.raises(OSError, match="choose another directory"):
        write_atomically(tmp_path / "folder" / "seed-0.json", b"new")
