"""Loader for RecBole's atomic files: `NAME.inter` and `NAME.item`, tab-separated, typed headers.

`NAME.inter` needs `user_id` and `item_id`; with a `timestamp` column histories are sorted by it,
without one they stand as given. Other columns (ratings, say) are not read: every line is one
interaction, and a pair that stands twice counts twice. `NAME.item` is optional and needs
`item_id`; items that only `NAME.inter` knows come after its items and have no text.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.datasets.reading import clean, read_text, shown
from gti.data.dataset import DataError, Dataset, Provenance

_TYPES = ("token", "token_seq", "float", "float_seq")
_COLUMNS = {
    "title": ("title", "movie_title"),
    "description": ("description",),
    "brand": ("brand",),
    "categories": ("categories", "class", "genre", "genres"),
    "year": ("release_year", "year"),
}
"""Canonical field → the columns it is read from, first match wins."""

_BLANK_SEPARATED = ("class", "genre", "genres")
"""Columns whose tokens are separated by blanks; written with commas in our texts."""

_MISSING = {"", "unknown", "unkonwn"}
"""MovieLens marks absent values so, the misspelling included."""

_ARTICLES = ("The", "A", "An", "La", "Le", "Les", "L'", "Il", "O", "El", "Das", "Der", "Die", "Det")
_TRAILING_ARTICLE = re.compile(rf"([^()]*\S), ({'|'.join(_ARTICLES)})(?=\s*(?:[()]|$))")


@dataclass(frozen=True)
class _Table:
    """An atomic file: column name → position, and its lines, the header first."""

    path: Path
    sha256: str
    positions: dict[str, int]
    lines: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of each row.

        Raises:
            DataError: a row has another number of fields than the header.
        """
        for number, line in enumerate(self.lines[1:], start=2):
            if not line:
                continue
            fields = line.split("\t")
            if len(fields) != len(self.positions):
                raise DataError(
                    f"{self.path}, line {number}: expected {len(self.positions)} tab-separated"
                    f" fields, found {len(fields)}: {shown(line)}"
                )
            yield number, fields


def load_recbole(folder: Path, stem: str, name: str, source: str, licence: str) -> Dataset:
    r"""Reads `<folder>/<stem>.inter` and, where it is there, `<stem>.item`.

    Args:
        folder: where the files lie.
        stem: what they are called.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.

    Returns:
        Items in the order of `.item`, users in the order of their first line in `.inter`,
        histories by timestamp; equal timestamps by sha256 of "<user>\t<item>", then as given.

    Raises:
        DataError: a file is missing, malformed or truncated; names file, line, expected, found.
    """
    interactions = _read_table(folder / f"{stem}.inter", required=("user_id", "item_id"))
    files = {f"{stem}.inter": interactions.sha256}
    texts: dict[str, dict[str, str]] = {}
    item_path = folder / f"{stem}.item"
    if item_path.exists():
        items = _read_table(item_path, required=("item_id",))
        files[item_path.name] = items.sha256
        texts = _read_items(items)
    histories = _read_histories(interactions)
    for history in histories.values():
        for _, item in history:
            texts.setdefault(item, {})
    number_of = {item: number for number, item in enumerate(texts)}
    timed = "timestamp" in interactions.positions
    ordered = {
        user: sorted(history, key=lambda pair: (pair[0], _tie_key(user, pair[1])))
        if timed
        else history
        for user, history in histories.items()
    }
    return Dataset(
        name=name,
        item_ids=tuple(texts),
        texts=tuple(texts.values()),
        user_ids=tuple(ordered),
        histories=tuple(
            np.array([number_of[item] for _, item in history], dtype=np.int64)
            for history in ordered.values()
        ),
        tied_last=np.array(
            [len(history) > 1 and history[-1][0] == history[-2][0] for history in ordered.values()],
            dtype=bool,
        )
        if timed
        else None,
        provenance=Provenance(source=source, licence=licence, files=files),
    )


def natural_title(title: str) -> str:
    """Moves articles from the end of a title, or of a part in parentheses, to its front.

    >>> natural_title("Horseman on the Roof, The (Hussard sur le toit, Le)")
    'The Horseman on the Roof (Le Hussard sur le toit)'
    """

    def front(match: re.Match[str]) -> str:
        words, article = match.group(1), match.group(2)
        lead = words[: len(words) - len(words.lstrip())]
        joint = "" if article.endswith("'") else " "
        return f"{lead}{article}{joint}{words.lstrip()}"

    return _TRAILING_ARTICLE.sub(front, title)


def _tie_key(user: str, item: str) -> str:
    """What orders a user's interactions of the same time."""
    return hashlib.sha256(f"{user}\t{item}".encode()).hexdigest()


def _read_table(path: Path, required: tuple[str, ...]) -> _Table:
    """Reads an atomic file and checks its header."""
    text, sha256 = read_text(path)
    # Not splitlines(): it also splits at characters that may stand inside a title.
    lines = tuple(line.removesuffix("\r") for line in text.split("\n"))
    positions: dict[str, int] = {}
    for position, column in enumerate(lines[0].split("\t")):
        name, separator, kind = column.partition(":")
        if not separator or kind not in _TYPES:
            raise DataError(
                f"{path}, line 1: expected columns written name:type with type one of"
                f" {', '.join(_TYPES)}, found {shown(column)}"
            )
        if name in positions:
            raise DataError(f"{path}, line 1: column {name!r} stands twice")
        positions[name] = position
    missing = [name for name in required if name not in positions]
    if missing:
        raise DataError(
            f"{path}, line 1: expected a column {missing[0]!r}, found {', '.join(positions)}"
        )
    return _Table(path, sha256, positions, lines)


def _read_items(table: _Table) -> dict[str, dict[str, str]]:
    """Item id → its texts, in file order."""
    sources = {
        field: next(column for column in columns if column in table.positions)
        for field, columns in _COLUMNS.items()
        if any(column in table.positions for column in columns)
    }
    texts: dict[str, dict[str, str]] = {}
    for number, fields in table.rows():
        item = fields[table.positions["item_id"]]
        if not item:
            raise DataError(f"{table.path}, line {number}: expected an item_id, found nothing")
        if item in texts:
            raise DataError(f"{table.path}, line {number}: item_id {item!r} stands twice")
        texts[item] = {
            field: text
            for field, column in sources.items()
            if (text := _field_text(column, fields[table.positions[column]]))
        }
    return texts


def _field_text(column: str, value: str) -> str:
    """The canonical text of one column's value, "" where it is missing."""
    text = clean(value)
    if column in _BLANK_SEPARATED:
        return ", ".join(token for token in text.split() if token not in _MISSING)
    if text in _MISSING:
        return ""
    return natural_title(text) if column == "movie_title" else text


def _read_histories(table: _Table) -> dict[str, list[tuple[float, str]]]:
    """User id → (timestamp, item id) of each interaction as given; time 0 without a column."""
    user_column, item_column = table.positions["user_id"], table.positions["item_id"]
    time_column = table.positions.get("timestamp")
    histories: dict[str, list[tuple[float, str]]] = {}
    for number, fields in table.rows():
        user, item = fields[user_column], fields[item_column]
        if not user or not item:
            raise DataError(
                f"{table.path}, line {number}: expected a user_id and an item_id, found"
                f" {shown(user)} and {shown(item)}"
            )
        time = 0.0
        if time_column is not None:
            time = _timestamp(fields[time_column], table.path, number)
        histories.setdefault(user, []).append((time, item))
    if not histories:
        raise DataError(f"{table.path}, line 2: expected an interaction, found the end of the file")
    return histories


def _timestamp(value: str, path: Path, line: int) -> float:
    try:
        time = float(value)
    except ValueError:
        time = math.nan
    if not math.isfinite(time):
        raise DataError(f"{path}, line {line}: expected a timestamp (a number), found {value!r}")
    return time
