"""The ranks table: the counts of one cell, from which every metric follows, as a parquet file.

One row per user, prompt wording and relevant item. On the retrieval track a query stands where a
user does, and popularity counts the training queries that the item is good for. Equal content
gives equal bytes (with one version of pyarrow): compression, encoding and row groups are fixed and
nothing else is stored.
"""

import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from leaderboard.records.bounded import MIB, BoundsError, read_bounded
from leaderboard.records.canonical import file_sha256, write_atomically
from leaderboard.records.record import RecordError

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
        pa.field("transitions", pa.int32()),
        pa.field("nll", pa.float64()),
        pa.field("trie_nll", pa.float64()),
    ]
)
"""Columns of the file. `num_better` and `num_tied` may be null, together, row by row; `nll` and
`trie_nll` are null, together, in all rows of a reference and in none of a cell."""

PEERS = ("peers", "peers_better", "peers_tied")
WITH_PEERS = pa.schema([*SCHEMA, *(pa.field(name, pa.int32()) for name in PEERS)])
"""Columns of the file where items are of kinds; those of peers are null, together, row by row."""

COUNTS = (
    "wording",
    "grade",
    "num_better",
    "num_tied",
    "target_popularity",
    "history_length",
    "transitions",
    *PEERS,
)
LOSSES = ("nll", "trie_nll")
NULLABLE = (("num_better", "num_tied"), LOSSES, PEERS)
TextColumn = Literal["split", "user", "item"]
TEXTS: tuple[TextColumn, ...] = ("split", "user", "item")

Integers = npt.NDArray[np.int64]


class RanksError(RecordError):
    """A ranks table that cannot be used; the message names the file, the row and the column."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of texts by number: comparing, counting and sorting numbers is the faster way.

    Args:
        names: [k] str, the different texts; some may have no row.
        numbers: [n] int64, which of them each row has.
    """

    names: npt.NDArray[np.str_]
    numbers: Integers

    @property
    def used(self) -> Integers:
        """[u] numbers that some row has, rising."""
        return np.flatnonzero(np.bincount(self.numbers, minlength=len(self.names)))

    def in_order(self) -> "Coded":
        """The same column with the texts that some row has, in sorted order."""
        used = self.used
        order = used[np.argsort(self.names[used])]
        place = np.zeros(len(self.names), dtype=np.int64)
        place[order] = np.arange(len(order))
        return Coded(self.names[order], place[self.numbers])


def coded(texts: npt.NDArray[np.str_]) -> Coded:
    """The column `texts` [n] by number, in order of first appearance."""
    places: dict[str, int] = {}
    numbers = [places.setdefault(text, len(places)) for text in texts.tolist()]
    return Coded(np.array(list(places), dtype=np.str_), np.array(numbers, dtype=np.int64))


def combined(*columns: npt.NDArray[np.integer[Any]]) -> Integers:
    """[n] one number for each row's entries in `columns` (none negative), in the same order.

    Rows are equal, or one before the other, as their entries are, the first column deciding first.
    """
    keys = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        size = int(column.max(initial=0)) + 1
        if int(keys.max(initial=0)) > np.iinfo(np.int64).max // size - 1:
            keys = np.unique(keys, return_inverse=True)[1].astype(np.int64)
        keys = keys * size + column
    return keys


MOST_ROWS = 2_000_000
"""Targets of a cell, in all wordings: a hundred times those of the largest board."""
MOST_BYTES = 256 * MIB
"""Of a table's columns unpacked, and of each column of texts."""

NOT_GIVEN: npt.NDArray[Any] = np.empty(0)
"""Stands for a column that is left out; another empty array does not."""


def _not_given() -> npt.NDArray[Any]:
    return NOT_GIVEN


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
        transitions: [n] int32, how often training histories go from the last item of the user's
            history straight to the target; default and on the retrieval track 0.
        nll: [n] float64, NLL of the target's Semantic ID in nats, under the full vocabulary
            (`gti.search.likelihood`); default NaN: not measured, as for references.
        trie_nll: [n] float64, the same, normalised over what the trie allows; default NaN.
        peers: [n] int32, other items of the target's kind (`gti.search.peers`); default 0: it was
            not ranked among them.
        peers_better: [n] int32, peers ranked strictly above the target.
        peers_tied: [n] int32, peers with exactly the target's score.

    Raises:
        RanksError: arrays of unlike length, an unknown split, a negative count, more peers beside
            and above a target than there are, a repeated row, an NLL that is negative, infinite,
            or there for some rows alone.
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
    transitions: npt.NDArray[np.int32] = dataclasses.field(default_factory=_not_given)
    nll: npt.NDArray[np.float64] = dataclasses.field(default_factory=_not_given)
    trie_nll: npt.NDArray[np.float64] = dataclasses.field(default_factory=_not_given)
    peers: npt.NDArray[np.int32] = dataclasses.field(default_factory=_not_given)
    peers_better: npt.NDArray[np.int32] = dataclasses.field(default_factory=_not_given)
    peers_tied: npt.NDArray[np.int32] = dataclasses.field(default_factory=_not_given)

    def __post_init__(self) -> None:
        """Converts each array to its type and checks the table."""
        by_number: dict[str, Coded] = {}
        object.__setattr__(self, "_coded", by_number)
        for name, dtype in _DTYPES.items():
            values = getattr(self, name)
            if values is NOT_GIVEN:
                empty = np.nan if name in LOSSES else 0
                values = np.full(len(self.in_beam), empty)
            if isinstance(values, Coded):  # as `read_ranks` has them
                by_number[name] = values
                values = values.names[values.numbers]
            object.__setattr__(self, name, _converted(name, values, dtype))
        for problem in _problems(self):
            raise RanksError(f"ranks: {problem}")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.user)

    @property
    def has_nll(self) -> bool:
        """Whether the targets' NLL was measured."""
        return bool(len(self)) and not np.isnan(self.nll).any()

    @property
    def has_peers(self) -> bool:
        """Whether some targets were ranked among their peers."""
        return bool((self.peers > 0).any())

    def where(self, mask: npt.NDArray[np.bool_]) -> "Ranks":
        """The rows at which `mask` [n] is true, in their order."""
        places = np.flatnonzero(mask)
        rows: Integers | slice = places
        if len(places) and len(places) == places[-1] - places[0] + 1:  # no copy, as of a split
            rows = slice(int(places[0]), int(places[-1]) + 1)
        part = object.__new__(Ranks)  # rows of a checked table need no second check
        for name in _DTYPES:
            object.__setattr__(part, name, getattr(self, name)[rows])
        known: dict[str, Coded] = self.__dict__["_coded"]
        by_number = {name: Coded(c.names, c.numbers[rows]) for name, c in known.items()}
        object.__setattr__(part, "_coded", by_number)
        return part

    def of_split(self, split: str) -> "Ranks":
        """The rows of `split`."""
        column = self.coded("split")
        return self.where((column.names == split)[column.numbers])

    def coded(self, name: TextColumn) -> Coded:
        """The column `name` by number."""
        known: dict[str, Coded] = self.__dict__["_coded"]
        if name not in known:
            known[name] = coded(getattr(self, name))
        return known[name]


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
    "transitions": np.int32,
    "nll": np.float64,
    "trie_nll": np.float64,
    **dict.fromkeys(PEERS, np.int32),
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
    split = ranks.coded("split")
    for row in np.flatnonzero(~np.isin(split.names, SPLITS)[split.numbers])[:1]:
        yield f"row {row}, column split: found {str(ranks.split[row])!r}, expected one of {SPLITS}"
    for name in COUNTS:
        for row in np.flatnonzero(getattr(ranks, name) < 0)[:1]:
            yield f"row {row}, column {name}: found {getattr(ranks, name)[row]}, expected 0 or more"
    outside = ~ranks.in_beam & ((ranks.num_better != 0) | (ranks.num_tied != 0))
    for row in np.flatnonzero(outside)[:1]:
        yield f"row {row}: a target outside the beam has counts; expected null"
    crowded = ranks.peers_better.astype(np.int64) + ranks.peers_tied > ranks.peers
    for row in np.flatnonzero(crowded)[:1]:
        found = f"{ranks.peers_better[row]} better and {ranks.peers_tied[row]} tied"
        yield f"row {row}: {found} peers of {ranks.peers[row]}; expected no more than there are"
    unknown = [np.isnan(getattr(ranks, name)) for name in LOSSES]
    if (unknown[0] != unknown[1]).any() or (unknown[0].any() and not unknown[0].all()):
        row = int(np.flatnonzero(unknown[0] | unknown[1])[0])
        yield f"row {row}: nll or trie_nll is missing where others are there; expected all or none"
    for name in LOSSES:
        values = getattr(ranks, name)
        for row in np.flatnonzero((values < 0) | np.isinf(values))[:1]:
            yield f"row {row}, column {name}: found {values[row]}, expected a finite NLL, 0 or more"
    keys = combined(*(ranks.coded(name).numbers for name in TEXTS), ranks.wording)
    in_order = np.sort(keys)
    if (in_order[1:] == in_order[:-1]).any():
        order = np.argsort(keys, kind="stable")
        row = int(order[1:][keys[order[1:]] == keys[order[:-1]]].min())
        place = f"split {ranks.split[row]}, user {ranks.user[row]}, wording {ranks.wording[row]}"
        yield f"row {row} repeats {place}, item {ranks.item[row]}"


def concatenate(parts: Sequence[Ranks]) -> Ranks:
    """The rows of all `parts`, one after another (at least one part)."""
    return Ranks(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _DTYPES}
    )


def ranks_bytes(ranks: Ranks) -> bytes:
    """`ranks` as the bytes of a parquet file."""
    columns = []
    schema = WITH_PEERS if ranks.peers.any() else SCHEMA
    for field in schema:
        values = getattr(ranks, field.name)
        mask = ~ranks.in_beam if field.name in NULLABLE[0] else None
        if field.name in PEERS:
            mask = ranks.peers == 0
        if field.name in LOSSES:
            mask = np.isnan(values)
        values = values.tolist() if pa.types.is_string(field.type) else values
        columns.append(pa.array(values, type=field.type, mask=mask))
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        buffer,
        version="2.6",
        compression="zstd",
        compression_level=9,
        row_group_size=1_000_000,
        write_statistics=False,
        store_schema=False,
        use_dictionary=[name for name in schema.names if name not in LOSSES],
        column_encoding=dict.fromkeys(LOSSES, "BYTE_STREAM_SPLIT"),
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
        content = read_bounded(path)
    except OSError as error:
        raise RanksError(f"cannot read ranks {path}: {error.strerror}") from error
    except BoundsError as error:
        raise RanksError(f"cannot read ranks {path}: {error}") from error
    try:
        # Threads would gain nothing on so small a file, and one that still runs when the process
        # ends can abort it after all is done.
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=TEXTS, pre_buffer=False)
        _check_size(path, file.metadata)
        table = file.read(use_threads=False)
    except RanksError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise RanksError(f"{path}: not a whole parquet file (truncated?): {detail}") from error
    _check_schema(path, table)
    _check_texts(path, table)
    in_beam = table.column("num_better").is_valid().to_numpy(zero_copy_only=False)
    columns: dict[str, Any] = {"in_beam": in_beam}
    for field in _schema_of(table):
        column = table.column(field.name)
        if pa.types.is_string(field.type):
            columns[field.name] = _texts(column)
        else:
            empty = np.nan if field.name in LOSSES else 0
            columns[field.name] = column.fill_null(empty).to_numpy()
    try:
        return Ranks(**columns)
    except RanksError as error:
        raise RanksError(f"{path}: {str(error).removeprefix('ranks: ')}") from error


def _check_size(path: Path, about: pq.FileMetaData) -> None:
    """Refuses a file that says itself that it is beyond the bounds, before it is unpacked."""
    unpacked = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
    if about.num_rows > MOST_ROWS or about.num_columns > len(WITH_PEERS) or unpacked > MOST_BYTES:
        raise RanksError(
            f"{path}: {about.num_rows:,} rows of {about.num_columns} columns, {unpacked:,} bytes"
            f" unpacked; read are up to {MOST_ROWS:,} rows and {MOST_BYTES:,} bytes"
        )


def _check_texts(path: Path, table: pa.Table) -> None:
    """Refuses an id so long that the column, as wide as it in every row, would not fit."""
    for name in TEXTS:
        widest = 0
        for chunk in table.column(name).chunks:
            names = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
            widest = max(widest, pc.max(pc.utf8_length(names)).as_py() or 0)
        if 4 * widest * len(table) > MOST_BYTES:
            raise RanksError(
                f"{path}, column {name}: a text of {widest:,} characters in a table of"
                f" {len(table):,} rows; ids are short"
            )


def _texts(column: pa.ChunkedArray) -> Coded | npt.NDArray[np.str_]:
    """A column of texts, by number where the file has it so."""
    if not pa.types.is_dictionary(column.type):
        return np.asarray(column.to_pylist(), dtype=np.str_)
    whole = column.unify_dictionaries().combine_chunks()
    names = whole.dictionary.to_pylist()
    if len(set(names)) < len(names):  # no writer of ours lists a text twice
        return np.asarray(column.to_pylist(), dtype=np.str_)
    return Coded(np.asarray(names, dtype=np.str_), whole.indices.to_numpy().astype(np.int64))


def _schema_of(table: pa.Table) -> pa.Schema:
    """The columns that `table` should have, by how many it has."""
    return WITH_PEERS if table.num_columns > len(SCHEMA) else SCHEMA


def _check_schema(path: Path, table: pa.Table) -> None:
    """Refuses a table whose columns, types or nulls are not those of `SCHEMA` or `WITH_PEERS`."""
    schema = _schema_of(table)
    if table.column_names != schema.names:
        raise RanksError(f"{path}: found columns {table.column_names}, expected {schema.names}")
    for field in schema:
        column = table.column(field.name)
        found = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if found != field.type:
            raise RanksError(
                f"{path}, column {field.name}: found type {found}, expected {field.type}"
            )
        if column.null_count and not any(field.name in pair for pair in NULLABLE):
            raise RanksError(
                f"{path}, column {field.name}: {column.null_count} null, expected none"
            )
    for names in NULLABLE:
        if names == LOSSES or names[0] not in schema.names:  # losses: where they are read
            continue
        known = np.stack([table.column(name).is_valid().to_numpy() for name in names])
        for row in np.flatnonzero(known.any(axis=0) != known.all(axis=0))[:1]:
            raise RanksError(
                f"{path}, row {row}: only some of {', '.join(names)} are null; expected all or none"
            )
