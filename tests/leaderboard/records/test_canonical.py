"""Files that are whole or not there."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.records.canonical import canonical_json, readable_json, write_atomically

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FINITE = SCALARS.filter(lambda value: not isinstance(value, float) or abs(value) < float("inf"))
JSON = st.recursive(
    FINITE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


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


@given(JSON)
def test_the_readable_form_holds_the_very_same_values(value: object) -> None:
    assert canonical_json(json.loads(readable_json(value))) == canonical_json(value)


def test_lists_of_scalars_stand_on_one_line_and_all_else_on_lines_of_its_own() -> None:
    value = {"b": [1, 2.5, None, "ü"], "a": {"c": [[1, 2], []], "empty": {}}, "d": [{"e": True}]}
    assert readable_json(value).decode() == (
        '{\n "a": {\n  "c": [\n   [1, 2],\n   []\n  ],\n  "empty": {}\n },\n'
        ' "b": [1, 2.5, null, "ü"],\n "d": [\n  {\n   "e": true\n  }\n ]\n}\n'
    )


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        readable_json(value)


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"a file")
    with pytest.raises(OSError, match="choose another directory"):
        write_atomically(tmp_path / "folder" / "seed-0.json", b"new")
