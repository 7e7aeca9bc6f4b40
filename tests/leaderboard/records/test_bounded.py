"""Files of others are read within bounds: what lies beyond is one error, and costs nothing."""

import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.records.bounded import (
    MIB,
    MOST_EXPANDED_BYTES,
    BoundsError,
    check_values,
    read_arrays,
    read_bounded,
)
from leaderboard.records.canonical import file_sha256, printable
from leaderboard.records.ranks import SCHEMA, RanksError, read_ranks
from leaderboard.records.record import RecordError, read_content
from leaderboard.records.semantic_ids import SemanticIdsFileError, read_semantic_ids


def npz(path: Path, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@given(array=st.sampled_from([np.arange(6).reshape(2, 3), np.array("text"), np.zeros((0, 4))]))
@settings(max_examples=10)
def test_arrays_are_those_that_numpy_reads(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("npz") / "some.npz"
    np.savez_compressed(path, one=array, two=np.asfortranarray(np.ones((3, 2), "f2")))
    found = read_arrays(path)
    with np.load(path) as wanted:
        assert set(found) == set(wanted.files)
        for name in wanted.files:
            assert found[name].dtype == wanted[name].dtype
            np.testing.assert_array_equal(found[name], wanted[name])
    assert set(read_arrays(path, ("two", "three"))) == {"two"}


def test_an_archive_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    bomb = npz(tmp_path / "bomb.npz", codes=npy(np.zeros(MOST_EXPANDED_BYTES + MIB, np.uint8)))
    assert bomb.stat().st_size < MIB
    with pytest.raises(BoundsError, match="64 MiB when unpacked"):
        read_arrays(bomb)


def test_a_header_that_asks_for_more_than_there_is_allocates_nothing(tmp_path: Path) -> None:
    honest, claimed = b"(1000000,), }" + b" " * 6, b"(9999999999999,), }"
    content = npy(np.zeros(1_000_000, np.uint8))
    assert honest in content
    path = npz(tmp_path / "large.npz", codes=content.replace(honest, claimed))
    tracemalloc.start()
    try:
        with pytest.raises(
            BoundsError, match="should have 9,999,999,999,999 bytes, found 1,000,000"
        ):
            read_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 2 * MOST_EXPANDED_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("codes", "num_codes"),
    [
        (np.zeros((2, 3), np.int16), 10**12),
        (np.zeros((1, 1000), np.int16), 4),
        (np.zeros((2, 3), np.float32), 4),
        (np.full((2, 3), 7, np.int16), 4),
    ],
)
def test_codes_beyond_any_codebook_are_refused(
    tmp_path: Path, codes: np.ndarray, num_codes: int
) -> None:
    path = tmp_path / "some.npz"
    np.savez(path, codes=codes, num_codes=np.array(num_codes), description=np.array("{}"))
    with pytest.raises(SemanticIdsFileError, match=r"some\.npz"):
        read_semantic_ids(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "seed-0.json"
    os.mkfifo(pipe)
    with pytest.raises(BoundsError, match="not a regular file"):
        read_bounded(pipe)
    with pytest.raises(RecordError, match=r"seed-0\.json: not a regular file"):
        read_content(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        file_sha256(pipe)


def test_ranks_of_too_many_rows_or_too_long_ids_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.ranks.parquet"
    for rows, user in ((3_000_000, "u"), (3, "u" * 100_000_000)):
        columns = [
            pa.array([user] * min(rows, 3), pa.string()).dictionary_encode().take([0] * rows)
            if field.name == "user"
            else pa.DictionaryArray.from_arrays(
                pa.array(np.zeros(rows, np.int32)), pa.array(["test"])
            )
            if pa.types.is_string(field.type)
            else pa.array(np.zeros(rows, np.int8), pa.int8())
            for field in SCHEMA
        ]
        pq.write_table(pa.table(columns, names=SCHEMA.names), path, compression="zstd")
        with pytest.raises(RanksError, match=r"seed-0\.ranks\.parquet"):
            read_ranks(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (10**30, "field a.1.b: an integer of 100 bits"),
        (1e300, r"the number 1e\+300"),
        (float("nan"), "nan, which is no finite number"),
        ("\ud83c", "text that is not valid Unicode"),
        ("x" * 200_000, "a text of 200,000 characters"),
    ],
)
def test_values_that_no_record_has_name_their_field(value: object, said: str) -> None:
    with pytest.raises(BoundsError, match=said):
        check_values({"a": [0, {"b": value}]})
    check_values({"a": [0, {"b": [1.5, None, True, "é", -(2**63) + 1]}]})


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5_000, '{"a": ' * 40 + "1" + "}" * 40])
def test_nesting_and_digits_beyond_python_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed-0.json"
    path.write_text('{"a": ' + text + "}", encoding="utf-8")
    with pytest.raises(RecordError, match=r"seed-0\.json"):
        read_content(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@given(VALUES)
@settings(max_examples=100)
def test_whatever_passes_can_be_written(value: object) -> None:
    try:
        check_values(value)
    except BoundsError:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def test_what_a_terminal_would_obey_is_shown_as_a_sign() -> None:
    assert printable("a\x1b[31mred\x07\u202e\ud83c") == "a\ufffd[31mred\ufffd\ufffd\ufffd"
    assert printable("naïve\t– 東京 🎉\n") == "naïve\t– 東京 🎉\n"
