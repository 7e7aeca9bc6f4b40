"""The ranks table: the counts of one cell, from which every metric follows, as a parquet file.

One row per user, prompt wording and relevant item. On the retrieval track a query stands where a
user does, and popularity counts the training queries that the item is good for. Equal content
gives equal bytes (with one version of pyarrow): compression, encoding and row groups are fixed and
nothing else is stored.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from leaderboard.canonical import file_sha256, write_atomically
from leaderboard.record import RecordError

SPLITS = ("test", "validation")

SCHEMA = pa.schema(
    [
        pa.field("split", pa.string()),
        pa.field("user", pa.string()),
        pa.field("wording", pa.int16()),
        pa.field("item", pa.string()),
        pa.field("grade", pa.int8()),
        pa.field("num_better", pa.int32()),
        pa.field("num_tied", pa.int32()),
        pa.field("target_popularity", pa.int32()),
        pa.field("history_length", pa.int32()),
    ]
)
"""Columns of the file. Only `num_better` and `num_tied` may be null, and only together."""

COUNTS = ("wording", "grade", "num_better", "num_tied", "target_popularity", "history_length")


class RanksError(RecordError):
    """A ranks table that cannot be used; the message names the file, the row and the column."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of n targets; row i of every array belongs to the same target.

    Args:
        split: [n] str, "test" or "validation".
        user: [n] str, the user's id in the dataset.
        wording: [n] int16, index of the prompt wording that was used.
        item: [n] str, the target's id in the dataset.
        grade: [n] int8, relevance of the target, 1 where there is one relevant item.
        in_beam: [n] bool, whether the target was ranked at all; null counts in the file otherwise.
        num_better: [n] int32, items ranked strictly above the target; 0 where not `in_beam`.
        num_tied: [n] int32, other items with exactly the target's score; 0 where not `in_beam`.
        target_popularity: [n] int32, training interactions of the target.
        history_length: [n] int32, items of the user's history that the model could see.

    Raises:
        RanksError: arrays of unlike length, an unknown split, a negative count, a repeated row.
    """

    split: npt.NDArray[np.str_]
    user: npt.NDArray[np.str_]
    wording: npt.NDArray[np.int16]
    item: npt.NDArray[np.str_]
    grade: npt.NDArray[np.int8]
    in_beam: npt.NDArray[np.bool_]
    num_better: npt.NDArray[np.int32]
    num_tied: npt.NDArray[np.int32]
    target_popularity: npt.NDArray[np.int32]
    history_length: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        """Converts each array to its type and checks the table."""
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, _converted(name, getattr(self, name), dtype))
        for problem in _problems(self):
            raise RanksError(f"ranks: {problem}")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.user)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Ranks":
        """The rows at which `mask` [n] is true, in their order."""
        return Ranks(**{name: getattr(self, name)[mask] for name in _DTYPES})

    def of_split(self, split: str) -> "Ranks":
        """The rows of `split`."""
        return self.where(self.split == split)


_DTYPES: dict[str, Any] = {
    "split": np.str_,
    "user": np.str_,
    "wording": np.int16,
    "item": np.str_,
    "grade": np.int8,
    "in_beam": np.bool_,
    "num_better": np.int32,
    "num_tied": np.int32,
    "target_popularity": np.int32,
    "history_length": np.int32,
}


def _converted(name: str, values: Any, dtype: Any) -> npt.NDArray[Any]:
    """`values` as an array of `dtype`, refusing what would change on the way."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise RanksError(f"ranks: column {name} has shape {array.shape}, expected one dimension")
    converted = array.astype(dtype)
    if len(array) and np.issubdtype(dtype, np.integer) and not np.array_equal(array, converted):
        raise RanksError(f"ranks: column {name} holds values that do not fit {np.dtype(dtype)}")
    return converted


def _problems(ranks: Ranks) -> Iterator[str]:
    """What is wrong with the content of `ranks`, one sentence each."""
    lengths = {field.name: len(getattr(ranks, field.name)) for field in fields(ranks)}
    if len(set(lengths.values())) > 1:
        yield f"columns of unlike length: {lengths}"
        return
    for row in np.flatnonzero(~np.isin(ranks.split, SPLITS))[:1]:
        yield f"row {row}, column split: found {str(ranks.split[row])!r}, expected one of {SPLITS}"
    for name in COUNTS:
        for row in np.flatnonzero(getattr(ranks, name) < 0)[:1]:
            yield f"row {row}, column {name}: found {getattr(ranks, name)[row]}, expected 0 or more"
    outside = ~ranks.in_beam & ((ranks.num_better != 0) | (ranks.num_tied != 0))
    for row in np.flatnonzero(outside)[:1]:
        yield f"row {row}: a target outside the beam has counts; expected null"
    seen: set[tuple[Any, ...]] = set()
    keys = (ranks.split.tolist(), ranks.user.tolist(), ranks.wording.tolist(), ranks.item.tolist())
    for row, key in enumerate(zip(*keys, strict=True)):
        if key in seen:
            split, user, wording, item = key
            yield f"row {row} repeats split {split}, user {user}, wording {wording}, item {item}"
            return
        seen.add(key)


def concatenate(parts: Sequence[Ranks]) -> Ranks:
    """The rows of all `parts`, one after another (at least one part)."""
    return Ranks(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _DTYPES}
    )


def ranks_bytes(ranks: Ranks) -> bytes:
    """`ranks` as the bytes of a parquet file."""
    columns = []
    for field in SCHEMA:
        values = getattr(ranks, field.name)
        mask = ~ranks.in_beam if field.name in ("num_better", "num_tied") else None
        values = values.tolist() if pa.types.is_string(field.type) else values
        columns.append(pa.array(values, type=field.type, mask=mask))
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=SCHEMA),
        buffer,
        version="2.6",
        compression="zstd",
        compression_level=9,
        row_group_size=1_000_000,
        write_statistics=False,
        store_schema=False,
    )
    return buffer.getvalue()


def write_ranks(path: Path, ranks: Ranks) -> str:
    """Writes `ranks` to `path`, whole or not at all; returns the file's sha256 (hex)."""
    write_atomically(path, ranks_bytes(ranks))
    return file_sha256(path)


def read_ranks(path: Path) -> Ranks:
    """Reads and checks the ranks file at `path`.

    Raises:
        RanksError: a missing or damaged file, other columns or types, a null where none may be.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RanksError(f"cannot read ranks {path}: {error.strerror}") from error
    try:
        # Threads would gain nothing on so small a file, and one that still runs when the process
        # ends can abort it after all is done.
        table = pq.read_table(pa.BufferReader(content), use_threads=False, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise RanksError(f"{path}: not a whole parquet file (truncated?): {detail}") from error
    _check_schema(path, table)
    in_beam = table.column("num_better").is_valid().to_numpy(zero_copy_only=False)
    columns: dict[str, Any] = {"in_beam": in_beam}
    for field in SCHEMA:
        column = table.column(field.name)
        if pa.types.is_string(field.type):
            columns[field.name] = np.asarray(column.to_pylist(), dtype=np.str_)
        else:
            columns[field.name] = column.fill_null(0).to_numpy()
    try:
        return Ranks(**columns)
    except RanksError as error:
        raise RanksError(f"{path}: {str(error).removeprefix('ranks: ')}") from error


def _check_schema(path: Path, table: pa.Table) -> None:
    """Refuses a table whose columns, types or nulls are not those of `SCHEMA`."""
    if table.column_names != SCHEMA.names:
        raise RanksError(f"{path}: found columns {table.column_names}, expected {SCHEMA.names}")
    for field in SCHEMA:
        column = table.column(field.name)
        if column.type != field.type:
            raise RanksError(
                f"{path}, column {field.name}: found type {column.type}, expected {field.type}"
            )
        if column.null_count and field.name not in ("num_better", "num_tied"):
            raise RanksError(
                f"{path}, column {field.name}: {column.null_count} null, expected none"
            )
    better, tied = (table.column(name).is_valid().to_numpy() for name in ("num_better", "num_tied"))
    for row in np.flatnonzero(better != tied)[:1]:
        raise RanksError(
            f"{path}, row {row}: only one of num_better and num_tied is null; expected both or none"
        )
