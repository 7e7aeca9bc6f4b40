"""Loader for Amazon Reviews 2023 through the `datasets` library, one category at a time.

Read are the repository's plain data files at a pinned commit (its loading script is refused by
`datasets` 4 and later): all (user, product, time) triples of a category, repeated pairs already
left out by the publishers, and the products' metadata. Both are read as lines of text: the
metadata's columns change their types from line to line, which no table can hold. The k-core and
the split are ours; what is made is kept in the cache, so this is done once.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.datasets.card import MissingDataError
from benchmarks.datasets.log import Log, ordered, to_dataset
from benchmarks.datasets.reading import product_text, shown
from benchmarks.datasets.stored import file_hashes, stored, stored_or_made
from benchmarks.machine.cache import cache_root, temporary_folder
from gti.data.dataset import DataError, Dataset, Provenance

if TYPE_CHECKING:
    import pyarrow as pa

REPOSITORY = "McAuley-Lab/Amazon-Reviews-2023"
REVISION = "2b6d039ed471f2ba5fd2acb718bf33b0a7e5598e"
CATEGORIES = (
    "All_Beauty", "Amazon_Fashion", "Appliances", "Arts_Crafts_and_Sewing", "Automotive",
    "Baby_Products", "Beauty_and_Personal_Care", "Books", "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories", "Clothing_Shoes_and_Jewelry", "Digital_Music", "Electronics",
    "Gift_Cards", "Grocery_and_Gourmet_Food", "Handmade_Products", "Health_and_Household",
    "Health_and_Personal_Care", "Home_and_Kitchen", "Industrial_and_Scientific", "Kindle_Store",
    "Magazine_Subscriptions", "Movies_and_TV", "Musical_Instruments", "Office_Products",
    "Patio_Lawn_and_Garden", "Pet_Supplies", "Software", "Sports_and_Outdoors",
    "Subscription_Boxes", "Tools_and_Home_Improvement", "Toys_and_Games", "Video_Games",
)  # fmt: skip
_HEADER = "user_id,parent_asin,rating,timestamp"
_PRODUCT = re.compile(r'"parent_asin":\s*"([^"]+)"')
_BATCH = 1 << 16


def amazon_2023_files(folder: Path, category: str) -> list[Path] | None:
    """Triples and metadata of `category` in `folder`, packed or not; null where one is missing."""
    found = []
    for stem in (f"{category}.csv", f"meta_{category}.jsonl"):
        paths = [folder / stem, folder / f"{stem}.gz"]
        present = next((path for path in paths if path.is_file()), None)
        if present is None:
            return None
        found.append(present)
    return found


def load_amazon_2023(
    category: str,
    k: int,
    files: list[Path] | None,
    name: str,
    source: str,
    licence: str,
    *,
    offline: bool = False,
) -> Dataset:
    r"""Reads a category.

    Args:
        category: one of `CATEGORIES`.
        k: as for `k_core`.
        files: the two files where the user has brought them; null: from the hub.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.
        offline: touch no network; what is not in the cache is an error.

    Returns:
        Items and users in the order of the triples, histories by timestamp (milliseconds); equal
        ones by sha256 of "<user>\t<item>".

    Raises:
        MissingDataError: it would have to be fetched, and cannot be.
        DataError: a file is malformed or truncated.
        CacheError: the cache is full or cannot be written.
    """
    about = {"loader": "amazon-2023", "name": name, "category": category, "k": str(k)}
    if files is not None:
        hashes = file_hashes(files)
        places = [str(path) for path in files]
    else:
        paths = (
            f"benchmark/0core/rating_only/{category}.csv",
            f"raw/meta_categories/meta_{category}.jsonl",
        )
        hashes = dict.fromkeys(paths, f"commit {REVISION} of {REPOSITORY}")
        places = [f"hf://datasets/{REPOSITORY}@{REVISION}/{path}" for path in paths]
    about |= hashes
    if files is None and offline and stored(about) is None:
        raise MissingDataError(
            f"dataset {name} (k_core = {k}) is not in the cache {cache_root()} and --offline"
            " forbids fetching it"
        )

    def make() -> Dataset:
        log = _triples(places[0])
        provenance = Provenance(source, licence, hashes, {"k_core": k}, log.counts)
        return to_dataset(
            ordered(log), name, lambda items: dict(_texts(places[1], set(items))), provenance, k
        )

    return stored_or_made(about, make)


def _line_batches(place: str) -> "Iterator[pa.Array]":
    """The lines of a file, here or on the hub, many at a time."""
    try:
        import datasets
    except ImportError as error:
        raise MissingDataError(
            "Amazon Reviews 2023 is read with the `datasets` library, which is not installed:"
            " pip install 'gti-bench[data]'"
        ) from error
    downloads = datasets.DownloadConfig(cache_dir=str(cache_root() / "downloads" / "huggingface"))
    with temporary_folder() as scratch:
        try:
            lines = datasets.load_dataset(
                "text",
                data_files=[place],
                split="train",
                cache_dir=str(scratch),
                download_config=downloads,
            )
        except (datasets.exceptions.DatasetsError, OSError, EOFError, ValueError) as error:
            raise _unreadable(place, error) from error
        for table in lines.with_format("arrow").iter(batch_size=_BATCH):
            yield table.column("text").combine_chunks()
        del lines


def _unreadable(place: str, error: BaseException) -> DataError:
    """What the failure of `datasets` means for the user."""
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    said = f"{type(cause).__name__}: {str(cause).strip() or 'no message'}"
    said = said.splitlines()[0]
    if isinstance(cause, EOFError):
        return DataError(
            f"{place}: the archive ends in the middle: it is truncated; fetch it again"
        )
    if isinstance(cause, UnicodeDecodeError):
        return DataError(f"{place}: expected UTF-8, found another encoding ({said})")
    if place.startswith("hf://"):
        return MissingDataError(
            f"{place} could not be fetched ({said}); is there a network? the two files of a"
            " category can also be brought by hand"
        )
    return DataError(f"{place}: cannot be read ({said})")


def _triples(place: str) -> Log:
    """All interactions of a category."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns: list[list[pa.Array]] = [[], [], []]
    first = 1
    for lines in _line_batches(place):
        if first == 1:
            if lines[0].as_py() != _HEADER:
                raise DataError(
                    f"{place}, line 1: expected {_HEADER}, found {shown(lines[0].as_py())}"
                )
            lines, first = lines[1:], 2
        fields = pc.split_pattern(lines, ",")
        wrong = np.flatnonzero(np.asarray(pc.list_value_length(fields)) != 4)
        if len(wrong):
            raise _malformed(place, first + int(wrong[0]), lines[int(wrong[0])].as_py())
        user, item, time = (pc.list_element(fields, part) for part in (0, 1, 3))
        good = pc.and_(pc.match_substring_regex(time, r"^\d+$"), pc.not_equal(user, ""))
        good = np.asarray(pc.and_(good, pc.not_equal(item, "")))
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise _malformed(place, first + row, lines[row].as_py())
        for column, values in zip(columns, (user, item, time.cast(pa.int64())), strict=True):
            column.append(values)
        first += len(lines)
    if not sum(map(len, columns[0])):
        raise DataError(f"{place}: expected interactions, found none")
    users, items = (
        pa.chunked_array(column).dictionary_encode().unify_dictionaries().combine_chunks()
        for column in columns[:2]
    )
    return Log(
        user_ids=tuple(users.dictionary.to_pylist()),
        item_ids=tuple(items.dictionary.to_pylist()),
        users=users.indices.to_numpy().astype(np.int64),
        items=items.indices.to_numpy().astype(np.int64),
        times=pa.chunked_array(columns[2]).to_numpy().astype(np.float64),
    )


def _malformed(place: str, number: int, line: str) -> DataError:
    return DataError(
        f"{place}, line {number}: expected {_HEADER} with a timestamp in whole milliseconds, found"
        f" {shown(line)}"
    )


def _texts(place: str, wanted: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Texts of the wanted products; a product that stands twice keeps its first texts."""
    missing = set(wanted)
    number = 0
    for lines in _line_batches(place):
        for line in lines.to_pylist():
            number += 1
            match = _PRODUCT.search(line)
            if match is not None and match.group(1) not in missing:
                continue
            try:
                product = json.loads(line)
                item = product["parent_asin"]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise DataError(
                    f"{place}, line {number}: expected a JSON object with parent_asin, found"
                    f" {shown(line)}"
                ) from error
            if item in missing:
                missing.remove(item)
                yield item, _product_texts(place, number, product)
        if not missing:
            return


def _product_texts(place: str, number: int, product: dict[str, Any]) -> dict[str, str]:
    """A product's canonical text fields; the bullet points serve where there is no description."""
    try:
        fields = {
            "title": product_text(product.get("title")),
            "description": _joined(product.get("description"), " ")
            or _joined(product.get("features"), " "),
            "brand": product_text(product.get("store")),
            "categories": _joined(product.get("categories"), " > "),
        }
    except TypeError as error:
        raise DataError(f"{place}, line {number}: expected {error}") from error
    return {field: text for field, text in fields.items() if text}


def _joined(value: Any, joint: str) -> str:
    parts = value if isinstance(value, list) else [value]
    return joint.join(text for text in map(product_text, parts) if text)
