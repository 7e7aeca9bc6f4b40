"""Loader for Vibrent Clothes Rental, from the files of its Kaggle page (`;`-separated CSV).

`user_activity_triplets.csv` and `original_orders.csv` (orders before 2020, of the same customers)
hold `customer.id;outfit.id;rentalPeriod.start;rentalPeriod.end`; `outfits.csv` holds an outfit's
`id`, `name`, `description`, `group`, its tags and more. An outfit is one physical garment; its
group is the design that the catalogue shows. The columns are those that the publishers' own script
writes (cair/Vibrent_Clothes_Rental_Dataset_Collection).
"""

import ast
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from benchmarks.datasets.log import Log, Repeats, ordered, to_dataset, without_repeats
from benchmarks.datasets.reading import MISSING, clean, read_text, shown
from gti.data.dataset import DataError, Dataset, Provenance

RENTALS, OLD_RENTALS, OUTFITS = "user_activity_triplets.csv", "original_orders.csv", "outfits.csv"
_RENTAL_COLUMNS = ("customer.id", "outfit.id", "rentalPeriod.start")
_OUTFIT_COLUMNS = ("id", "name", "description", "group", "outfit_tags")

Unit = Literal["outfit", "group"]
Orders = Literal["activity", "all"]


@dataclass(frozen=True)
class _Outfit:
    """What the catalogue says of one garment; `group` is "" where it says none."""

    group: str
    texts: dict[str, str]


def vibrent_files(orders: Orders) -> tuple[str, ...]:
    """The files that are read."""
    return (RENTALS, OUTFITS) if orders == "activity" else (RENTALS, OLD_RENTALS, OUTFITS)


def load_vibrent(
    folder: Path,
    *,
    unit: Unit,
    orders: Orders,
    duplicates: Repeats,
    k: int,
    name: str,
    source: str,
    licence: str,
) -> Dataset:
    r"""Reads the Kaggle files.

    Args:
        folder: where they lie.
        unit: what an item is: the garment ("outfit") or its design ("group").
        orders: "activity" reads `user_activity_triplets.csv`; "all" adds `original_orders.csv`.
        duplicates: what becomes of a customer's repeated rentals of an item, as for
            `without_repeats`.
        k: as for `k_core`, after the duplicates; with 0, outfits never rented stay items.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.

    Returns:
        Items in the order of `outfits.csv`, customers in that of the rentals, histories by the
        first day of the rental; equal days by sha256 of "<user>\t<item>". With unit "group"
        rentals of outfits without a group are left out and counted; a group has the texts of the
        first of its outfits that has any, field by field.

    Raises:
        DataError: a file is missing, malformed or truncated; names file, line, expected, found.
    """
    hashes: dict[str, str] = {}
    outfits = _outfits(folder / OUTFITS, hashes)
    rentals = list(_rentals(folder / RENTALS, hashes))
    if orders == "all":
        rentals += _rentals(folder / OLD_RENTALS, hashes)
    log = Log.of(rentals, outfits)
    counts = log.counts
    texts = {outfit: found.texts for outfit, found in outfits.items()}
    if unit == "group":
        groups, texts = _groups(outfits)
        named = [row for row in rentals if groups.get(row[1])]
        counts["rentals of outfits without a group, left out"] = len(rentals) - len(named)
        log = Log.of([(user, groups[outfit], time) for user, outfit, time in named], texts)
    log = ordered(log)
    kept = without_repeats(log, duplicates)
    counts["repeated rentals, left out"] = len(log.users) - len(kept.users)
    options: dict[str, str | int | bool] = {
        "unit": unit,
        "orders": orders,
        "duplicates": duplicates,
        "k_core": k,
    }
    provenance = Provenance(source, licence, hashes, options, counts)
    return to_dataset(kept, name, lambda _: texts, provenance, k)


def _groups(outfits: dict[str, _Outfit]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Outfit → its group, and group → its texts."""
    groups = {outfit: found.group for outfit, found in outfits.items() if found.group}
    texts: dict[str, dict[str, str]] = {}
    for found in outfits.values():
        if found.group:
            texts[found.group] = found.texts | texts.get(found.group, {})
    return groups, texts


def _rows(
    path: Path, columns: tuple[str, ...], hashes: dict[str, str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number (of the row's first line) and fields by column of each row."""
    text, hashes[path.name] = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True)
    line = 1
    try:
        header = next(reader)
        missing = [column for column in columns if column not in header]
        if missing:
            found = shown(", ".join(header))
            raise DataError(
                f"{path}, line 1: expected a column {missing[0]!r} (columns are separated by ;),"
                f" found {found}"
            )
        line = reader.line_num + 1
        for fields in reader:
            if len(fields) != len(header):
                if fields:
                    raise DataError(
                        f"{path}, line {line}: expected {len(header)} fields separated by ;, found"
                        f" {len(fields)}: {shown(';'.join(fields))}"
                    )
            else:
                yield line, dict(zip(header, fields, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: expected CSV separated by ; ({error}); the file may be truncated"
        ) from error


def _rentals(path: Path, hashes: dict[str, str]) -> Iterator[tuple[str, str, float]]:
    """Customer, outfit and first day of each rental."""
    found = False
    for line, row in _rows(path, _RENTAL_COLUMNS, hashes):
        customer, outfit, start = (row[column].strip() for column in _RENTAL_COLUMNS)
        if customer in MISSING or outfit in MISSING:
            raise DataError(
                f"{path}, line {line}: expected a customer.id and an outfit.id, found"
                f" {shown(customer)} and {shown(outfit)}"
            )
        try:
            day = datetime.fromisoformat(start)
        except ValueError as error:
            raise DataError(
                f"{path}, line {line}: expected rentalPeriod.start as a date such as 2021-05-31,"
                f" found {shown(start)}"
            ) from error
        found = True
        yield customer, outfit, (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp()
    if not found:
        raise DataError(f"{path}: expected rentals, found none")


def _outfits(path: Path, hashes: dict[str, str]) -> dict[str, _Outfit]:
    """Outfit id → what the catalogue says of it, in file order."""
    outfits: dict[str, _Outfit] = {}
    for line, row in _rows(path, _OUTFIT_COLUMNS, hashes):
        outfit = row["id"].strip()
        if outfit in MISSING:
            raise DataError(f"{path}, line {line}: expected an id, found {shown(row['id'])}")
        if outfit in outfits:
            raise DataError(f"{path}, line {line}: outfit {outfit!r} stands twice")
        tags = _words(path, line, "outfit_tags", row)
        kinds = _words(path, line, "tag_categories", row)
        # The two lists belong together item by item only where they are equally long.
        brands = [tag for tag, kind in zip(tags, kinds, strict=False) if kind == "Brand"]
        if len(tags) != len(kinds):
            brands = []
        fields = {
            "title": clean(row["name"]),
            "description": clean(row["description"]),
            "brand": clean(brands[:1]),
            "categories": clean([tag for tag in tags if tag not in brands]),
        }
        group = row["group"].strip()
        outfits[outfit] = _Outfit(
            group="" if group in MISSING else group,
            texts={field: text for field, text in fields.items() if text},
        )
    if not outfits:
        raise DataError(f"{path}: expected outfits, found none")
    return outfits


def _words(path: Path, line: int, column: str, row: dict[str, str]) -> list[str]:
    """A list of words as Python writes it; [] where the column is missing or empty."""
    value = row.get(column, "").strip()
    if value in MISSING:
        return []
    try:
        words = ast.literal_eval(value)
        if not isinstance(words, list):
            raise TypeError(f"a list, found {type(words).__name__}")
        return [text for text in map(clean, words) if text]
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{path}, line {line}: expected {column} as a list such as ['Dress', 'Red'], found"
            f" {shown(value)}"
        ) from error
