"""Loader for RecBole's atomic files: `NAME.inter` and `NAME.item`, tab-separated, typed headers.

`NAME.inter` needs `user_id` and `item_id`; with a `timestamp` column histories are sorted by it,
without one they stand as given. Other columns (ratings, say) are not read: every line is one
interaction, and a pair that stands twice counts twice. `NAME.item` is optional and needs
`item_id`; items that only `NAME.inter` knows come after its items and have no text. Files whose
columns are called otherwise (RecBole's own Steam files say `product_id`) are read with `Columns`.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.datasets.reading import check_common_items, product_text, read_text, shown
from gti.data.dataset import DataError, Dataset, Provenance
from gti.hints import did_you_mean

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

_QUOTED_LIST = re.compile(r"'[^']*'(?:, ?'[^']*')*")
"""A list of words as Python writes it without its brackets; RecBole's Amazon categories are so."""


@dataclass(frozen=True)
class Columns:
    """What the files call the columns that are read; null: as RecBole calls them.

    Attributes:
        user: of the interactions, else `user_id`.
        item: of the interactions, else `item_id`.
        time: of the interactions, else `timestamp` where there is one.
        text_item: the item's id in the file with the texts, else what `item` is.
        texts: canonical text field → the column it is read from.
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    text_item: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Mapping[str, object], name: str) -> "Columns":
        """From a setting's `[dataset.options]`: `item_column = "product_id"` and the like.

        Raises:
            DataError: an option that there is not, or a value that names no column.
        """
        plain = ("user", "item", "time", "text_item")
        known = [f"{what}_column" for what in (*plain, *_COLUMNS)]
        named: dict[str, str] = {}
        for option, value in options.items():
            if option not in known:
                hint = did_you_mean(option, known) or ";"
                raise DataError(
                    f"dataset {name}: unknown option {option!r}{hint} RecBole's files have"
                    f" {', '.join(known)}"
                )
            if not isinstance(value, str) or not value:
                raise DataError(
                    f"dataset {name}: option {option!r} is {value!r}; expected the name of a column"
                )
            named[option.removesuffix("_column")] = value
        user, item, time, text_item = map(named.get, plain)
        texts = {text: column for text, column in named.items() if text in _COLUMNS}
        return cls(user, item, time, text_item, texts)


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


def load_recbole(
    folder: Path,
    stem: str,
    name: str,
    source: str,
    licence: str,
    columns: Columns | None = None,
) -> Dataset:
    r"""Reads `<folder>/<stem>.inter` and, where it is there, `<stem>.item`.

    Args:
        folder: where the files lie.
        stem: what they are called.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.
        columns: what the files call them; null: as RecBole does.

    Returns:
        Items in the order of `.item`, users in the order of their first line in `.inter`,
        histories by timestamp; equal timestamps by sha256 of "<user>\t<item>", then as given.

    Raises:
        DataError: a file is missing, malformed or truncated; names file, line, expected, found.
    """
    columns = columns or Columns()
    user_column, item_column = columns.user or "user_id", columns.item or "item_id"
    wanted = {"user_column": user_column, "item_column": item_column}
    if columns.time is not None:
        wanted["time_column"] = columns.time
    interactions = _read_table(folder / f"{stem}.inter", wanted)
    files = {f"{stem}.inter": interactions.sha256}
    texts: dict[str, dict[str, str]] = {}
    time_column = columns.time or "timestamp"
    timed = time_column in interactions.positions
    histories = _read_histories(
        interactions, user_column, item_column, time_column if timed else None
    )
    interacted = [item for history in histories.values() for _, item in history]
    item_path = folder / f"{stem}.item"
    if item_path.exists():
        own = columns.text_item or item_column
        named = {f"{text}_column": column for text, column in columns.texts.items()}
        items = _read_table(item_path, {"text_item_column": own, **named})
        files[item_path.name] = items.sha256
        texts = _read_items(items, own, columns.texts)
        check_common_items(interactions.path, item_path, interacted, texts)
    for item in interacted:
        texts.setdefault(item, {})
    number_of = {item: number for number, item in enumerate(texts)}
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


def _read_table(path: Path, required: Mapping[str, str]) -> _Table:
    """Reads an atomic file and checks its header; `required`: option that names it → column."""
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
    for option, name in required.items():
        if name not in positions:
            raise DataError(
                f"{path}, line 1: expected a column {name!r}, found {', '.join(positions)}; one"
                f" that is called otherwise is named in the setting: [dataset.options] {option} ="
                ' "…"'
            )
    return _Table(path, sha256, positions, lines)


def _read_items(
    table: _Table, item_column: str, named: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Item id → its texts, in file order; `named`: text field → column, where it is said."""
    sources = {
        text: next(column for column in columns if column in table.positions)
        for text, columns in _COLUMNS.items()
        if any(column in table.positions for column in columns)
    }
    sources |= named
    texts: dict[str, dict[str, str]] = {}
    for number, fields in table.rows():
        item = fields[table.positions[item_column]]
        if not item:
            raise DataError(
                f"{table.path}, line {number}: expected an {item_column}, found nothing"
            )
        if item in texts:
            raise DataError(f"{table.path}, line {number}: {item_column} {item!r} stands twice")
        texts[item] = {
            name: text
            for name, column in sources.items()
            if (text := _field_text(column, fields[table.positions[column]]))
        }
    return texts


def _field_text(column: str, value: str) -> str:
    """The canonical text of one column's value, "" where it is missing."""
    text = product_text(value)
    if _QUOTED_LIST.fullmatch(text):
        text = product_text(re.findall(r"'([^']*)'", text))
    if column in _BLANK_SEPARATED:
        return ", ".join(token for token in text.split() if token not in _MISSING)
    if text in _MISSING:
        return ""
    return natural_title(text) if column == "movie_title" else text


def _read_histories(
    table: _Table, user_column: str, item_column: str, time_column: str | None
) -> dict[str, list[tuple[float, str]]]:
    """User id → (timestamp, item id) of each interaction as given; time 0 without a column."""
    user_at, item_at = table.positions[user_column], table.positions[item_column]
    time_at = None if time_column is None else table.positions[time_column]
    histories: dict[str, list[tuple[float, str]]] = {}
    for number, fields in table.rows():
        user, item = fields[user_at], fields[item_at]
        if not user or not item:
            raise DataError(
                f"{table.path}, line {number}: expected a {user_column} and an {item_column}, found"
                f" {shown(user)} and {shown(item)}"
            )
        time = 0.0 if time_at is None else _timestamp(fields[time_at], table.path, number)
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
