"""Loader for McAuley's Amazon reviews of 2014: `reviews_<Category>_5.json.gz`, `meta_….json.gz`.

The reviews are the 5-core that TIGER, S3-Rec and P5 start from, one JSON object a line. The
metadata are Python literals, one a line, read with `ast.literal_eval` and never evaluated; only the
lines of products in the 5-core are looked into.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.datasets.log import Log, ordered, to_dataset
from benchmarks.datasets.reading import product_text, read_lines, shown
from benchmarks.datasets.stored import file_hashes, stored_or_made
from gti.data.dataset import DataError, Dataset, Provenance

_ASIN = re.compile(r"""^\{.*?['"]asin['"]\s*:\s*['"]([^'"]+)['"]""")


def amazon_2014_files(folder: Path, category: str) -> list[Path] | None:
    """Reviews and metadata of `category` in `folder`, packed or not; null where one is missing."""
    found = []
    for stem in (f"reviews_{category}_5", f"meta_{category}"):
        paths = [folder / f"{stem}.json.gz", folder / f"{stem}.json"]
        present = next((path for path in paths if path.is_file()), None)
        if present is None:
            return None
        found.append(present)
    return found


def load_amazon_2014(
    reviews: Path, metadata: Path, name: str, source: str, licence: str
) -> Dataset:
    r"""Reads a category; what is made is kept in the cache, by the files' hashes.

    Args:
        reviews: `reviews_<Category>_5.json.gz`, or unpacked.
        metadata: `meta_<Category>.json.gz`, or unpacked.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.

    Returns:
        Items and users in the order of the reviews, histories by the day of the review; equal days
        by sha256 of "<user>\t<item>". Every review counts, whatever its stars.

    Raises:
        DataError: a file is missing, malformed or truncated; names file, line, expected, found.
        CacheError: the cache is full or cannot be written.
    """
    files = file_hashes([reviews, metadata])

    def make() -> Dataset:
        log = Log.of(_reviews(reviews))
        if not len(log.users):
            raise DataError(f"{reviews}: expected reviews, found none")
        provenance = Provenance(source, licence, files, counts=log.counts)
        return to_dataset(
            ordered(log), name, lambda items: dict(_texts(metadata, set(items))), provenance
        )

    return stored_or_made({"loader": "amazon-2014", "name": name, **files}, make)


def _reviews(path: Path) -> Iterator[tuple[str, str, float]]:
    """User, item and time of each review."""
    for number, line in read_lines(path):
        try:
            review = json.loads(line)
            user, item, time = (review[key] for key in ("reviewerID", "asin", "unixReviewTime"))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}, line {number}: expected a JSON object with reviewerID, asin and"
                f" unixReviewTime, found {shown(line)}"
            ) from error
        if not (isinstance(user, str) and isinstance(item, str) and user and item):
            raise DataError(
                f"{path}, line {number}: expected reviewerID and asin as texts, found"
                f" {shown(user)} and {shown(item)}"
            )
        if isinstance(time, bool) or not isinstance(time, int):
            raise DataError(
                f"{path}, line {number}: expected unixReviewTime in whole seconds, found"
                f" {shown(time)}"
            )
        yield user, item, float(time)


def _texts(path: Path, wanted: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Texts of the wanted products; a product that stands twice keeps its first texts."""
    missing = set(wanted)
    for number, line in read_lines(path):
        match = _ASIN.match(line)
        if match is not None and match.group(1) not in missing:
            continue
        product = _product(path, number, line)
        item = product["asin"]
        if item in missing:
            missing.remove(item)
            yield item, product_texts(path, number, product)


def _product(path: Path, number: int, line: str) -> dict[str, Any]:
    """The Python literal of one line."""
    try:
        product = ast.literal_eval(line)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{path}, line {number}: expected a Python dict such as {{'asin': '…', 'title': '…'}},"
            f" found {shown(line)}"
        ) from error
    if not isinstance(product, dict) or not isinstance(product.get("asin"), str):
        raise DataError(f"{path}, line {number}: expected a dict with asin, found {shown(line)}")
    return product


def product_texts(path: Path, number: int, product: dict[str, Any]) -> dict[str, str]:
    """A product's canonical text fields that are not empty.

    `categories` is the first of the product's paths, from the widest to the narrowest.
    """
    paths = product.get("categories") or [[]]
    fields = {}
    for field in ("title", "description", "brand"):
        try:
            fields[field] = product_text(product.get(field))
        except TypeError as error:
            raise DataError(
                f"{path}, line {number}: in field {field!r} expected {error}"
            ) from error
    if not isinstance(paths, list) or not isinstance(paths[0], list):
        raise DataError(
            f"{path}, line {number}: expected categories as a list of paths, found {shown(paths)}"
        )
    fields["categories"] = " > ".join(product_text(step) for step in paths[0])
    return {field: text for field, text in fields.items() if text}
