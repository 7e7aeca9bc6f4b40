"""Loader for folders of LC-Rec's layout, which LETTER, CollisionGenRec and others share.

`NAME.inter.json` maps each user to the list of items in order of time, `NAME.item.json` each item
to its text fields, `NAME.index.json` (optional) each item to its Semantic ID's tokens or, as plain
integers, its codes. Ids may be written as numbers or as strings. There are no timestamps: the order
is the file's, and a pair that stands twice counts twice.

MiniOneRec's `NAME.item.json` and `NAME.index.json` are the same; its interactions are another
thing (`NAME.train.inter`, `.valid.inter`, `.test.inter`: windows cut by time 8:1:1) from which
leave-one-out histories cannot be had, and are refused with that reason.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets.reading import (
    TEXT_FIELDS,
    check_common_items,
    clean,
    is_unicode,
    read_text,
    shown,
)
from gti.data.dataset import DataError, Dataset, Provenance
from gti.data.semantic_ids import SemanticIds

_TOKEN = re.compile(r"<([a-z])_(0|[1-9][0-9]{0,8})>")
LARGEST_CODE = 10**9 - 1
"""A larger code is none: no codebook is as long."""


class _JsonFile:
    """A parsed JSON object with what is needed to say where in the file a key stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text, self.sha256 = read_text(path)
        try:
            content = json.loads(self.text, object_pairs_hook=self._without_repeats)
        except json.JSONDecodeError as error:
            near = (
                shown(self.text[error.pos : error.pos + 20])
                if error.pos < len(self.text)
                else "the end of the file"
            )
            raise DataError(
                f"{path}, line {error.lineno}, column {error.colno}: expected JSON ({error.msg}),"
                f" found {near}; the file may be truncated"
            ) from error
        except RecursionError as error:
            raise DataError(
                f"{path}, line 1: expected a flat JSON object, found deep nesting"
            ) from error
        except DataError:
            raise
        except ValueError as error:  # Python reads no integer of more than 4,300 digits
            raise DataError(f"{path}: expected JSON, found what cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise DataError(
                f"{path}, line 1: expected a JSON object, found {type(content).__name__}"
            )
        self.content: dict[str, Any] = content

    def error(self, key: str, expected: str, found: object) -> DataError:
        """An error about the entry `key`."""
        return DataError(
            f"{self.path}, line {self._line_of(key)}: entry {key!r}: expected {expected}, found"
            f" {shown(found)}"
        )

    def _line_of(self, key: str) -> int:
        match = re.search(rf"{re.escape(json.dumps(key))}\s*:", self.text)
        return self.text.count("\n", 0, match.start()) + 1 if match else 1

    def _without_repeats(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for key, value in pairs:
            if key in entries:
                raise self.error(key, "each key once", "it twice")
            if not is_unicode(key):
                raise self.error(key, "a key of whole characters", key)
            entries[key] = value
        return entries


def load_lcrec(folder: Path, stem: str, name: str, source: str, licence: str) -> Dataset:
    """Reads `<folder>/<stem>.inter.json` and `<stem>.item.json`.

    Args:
        folder: where the files lie.
        stem: what they are called.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.

    Returns:
        Items in the order of `.item.json` (items that only a history knows come after them and
        have no text), users in the order of `.inter.json`, `tied_last` null.

    Raises:
        DataError: a file is missing, malformed or truncated; names file, line, expected, found.
    """
    interactions = _JsonFile(folder / f"{stem}.inter.json")
    items = _JsonFile(folder / f"{stem}.item.json")
    texts = {item: _texts(items, item, fields) for item, fields in items.content.items()}
    histories = {
        user: _history(interactions, user, history)
        for user, history in interactions.content.items()
    }
    if not histories:
        raise DataError(f"{interactions.path}, line 1: expected at least one user, found none")
    interacted = [item for history in histories.values() for item in history]
    check_common_items(interactions.path, items.path, interacted, texts)
    for item in interacted:
        texts.setdefault(item, {})
    number_of = {item: number for number, item in enumerate(texts)}
    return Dataset(
        name=name,
        item_ids=tuple(texts),
        texts=tuple(texts.values()),
        user_ids=tuple(histories),
        histories=tuple(
            np.array([number_of[item] for item in history], dtype=np.int64)
            for history in histories.values()
        ),
        tied_last=None,
        provenance=Provenance(
            source=source,
            licence=licence,
            files={
                interactions.path.name: interactions.sha256,
                items.path.name: items.sha256,
            },
        ),
    )


def read_index(path: Path, dataset: Dataset, num_codes: int | None = None) -> SemanticIds:
    """Reads published Semantic IDs.

    Args:
        path: `NAME.index.json`: item id → tokens `<a_105>`, `<b_3>`, …, one letter per level; or
            codes 105, 3, …, each counted from 0 within its level.
        dataset: whose items the rows follow.
        num_codes: codes per level; null: the smallest number that holds every code of the file.

    Returns:
        The codes, with `codebooks` null, since the file does not hold the vectors.

    Raises:
        DataError: malformed, an item without Semantic ID, or one that the dataset does not know.
    """
    index = _JsonFile(path)
    known = set(dataset.item_ids)
    for item in index.content:
        if item not in known:
            raise index.error(item, f"an item of dataset {dataset.name}", item)
    codes: list[list[int]] = []
    first: list[str | int] = []
    for item in dataset.item_ids:
        if item not in index.content:
            raise DataError(f"{path}, line 1: expected a Semantic ID for item {item!r}, found none")
        codes.append(_codes(index, item, first if codes else None))
        first = first if len(codes) > 1 else index.content[item]
    array = np.array(codes, dtype=np.int64)
    needed = int(array.max()) + 1
    if num_codes is not None and needed > num_codes:
        raise DataError(f"{path}: expected codes below {num_codes}, found {needed - 1}")
    return SemanticIds(
        codes=array,
        num_codes=num_codes or needed,
        codebooks=None,
        description={"quantiser": "published", "file": path.name, "file_sha256": index.sha256},
    )


def _texts(items: _JsonFile, item: str, fields: Any) -> dict[str, str]:
    """An item's canonical text fields that are not empty."""
    if not isinstance(fields, dict):
        raise items.error(item, "an object of text fields", fields)
    texts = {}
    for field in TEXT_FIELDS:
        try:
            text = clean(fields.get(field))
        except TypeError as error:
            raise items.error(item, f"in field {field!r} {error}", fields[field]) from error
        if text:
            texts[field] = text
    return texts


def _history(interactions: _JsonFile, user: str, history: Any) -> list[str]:
    """A user's item ids as strings."""
    if not isinstance(history, list):
        raise interactions.error(user, "a list of item ids", history)
    for item in history:
        if isinstance(item, bool) or not isinstance(item, int | str) or not _is_id(item):
            raise interactions.error(user, "item ids (whole numbers or strings)", item)
    return [str(item) for item in history]


def _is_id(item: int | str) -> bool:
    return isinstance(item, int) or (item != "" and is_unicode(item))


def _codes(index: _JsonFile, item: str, first: list[str | int] | None) -> list[int]:
    """An item's codes; `first` is how the first item's are written."""
    tokens = index.content[item]
    if not isinstance(tokens, list) or not tokens or len(tokens) > 26:
        raise index.error(item, "a list of tokens such as '<a_105>'", tokens)
    if first is not None and len(tokens) != len(first):
        raise index.error(item, f"{len(first)} tokens, as the first item has", tokens)
    plain = type((first or tokens)[0]) is int
    codes = []
    for level, token in enumerate(tokens):
        if plain:
            if type(token) is not int or not 0 <= token <= LARGEST_CODE:
                raise index.error(item, f"a whole number from 0 at level {level}", token)
            codes.append(token)
            continue
        match = _TOKEN.fullmatch(token) if isinstance(token, str) else None
        letter = chr(ord("a") + level)
        if match is None or match.group(1) != letter:
            raise index.error(item, f"a token '<{letter}_NUMBER>' at level {level}", token)
        codes.append(int(match.group(2)))
    return codes
