"""Tests of the loader for McAuley's files of 2014, packed and unpacked."""

import gzip
import json
from pathlib import Path

import pytest

from benchmarks.datasets.amazon2014 import amazon_2014_files, load_amazon_2014
from gti.data.dataset import DataError, Dataset

pytestmark = pytest.mark.usefixtures("own_cache")

REVIEWS = [("U2", "B01", 200), ("U1", "B01", 100), ("U1", "0A2", 50), ("U2", "0A2", 300)]
META = [
    {"asin": "0A2", "title": "Soap &amp; Co", "categories": [["Beauty", "Bath"], ["Other"]]},
    {"asin": "X99", "title": "Nobody's", "price": 3.0},
    {"asin": "B01", "description": 'It\'s  a "brush"', "brand": "Ann", "salesRank": {"Beauty": 1}},
]


def reviews(rows: list[tuple[str, str, int]] = REVIEWS) -> bytes:
    keys = ("reviewerID", "asin", "unixReviewTime")
    return b"".join(json.dumps(dict(zip(keys, row, strict=True))).encode() + b"\n" for row in rows)


def metadata() -> bytes:
    return b"".join(repr(product).encode() + b"\n" for product in META)


def write(folder: Path, first: bytes, second: bytes, suffix: str = ".gz") -> list[Path]:
    paths = []
    for stem, content in (("reviews_Beauty_5.json", first), ("meta_Beauty.json", second)):
        paths.append(folder / (stem + suffix))
        paths[-1].write_bytes(gzip.compress(content) if suffix else content)
    return paths


def load(paths: list[Path]) -> Dataset:
    return load_amazon_2014(*paths, "amazon-2014-beauty", "a test", "none")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_items_texts_and_histories_by_day(tmp_path: Path, suffix: str) -> None:
    paths = write(tmp_path, reviews(), metadata(), suffix)
    assert amazon_2014_files(tmp_path, "Beauty") == paths
    dataset = load(paths)
    assert dataset.item_ids == ("B01", "0A2")
    assert dataset.texts == (
        {"description": 'It\'s a "brush"', "brand": "Ann"},
        {"title": "Soap & Co", "categories": "Beauty > Bath"},
    )
    assert dataset.user_ids == ("U2", "U1")
    assert [history.tolist() for history in dataset.histories] == [[0, 1], [1, 0]]


def test_second_reading_comes_from_the_cache_and_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write(tmp_path, reviews(), metadata())
    first = load(paths)
    monkeypatch.setattr("benchmarks.datasets.amazon2014._reviews", None)
    second = load(paths)
    assert (second.sha256, second.provenance) == (first.sha256, first.provenance)
    assert second.tied_last is not None
    assert second.tied_last.tolist() == [False, False]
    write(tmp_path, reviews() + reviews([("U3", "B01", 1)]), metadata())
    with pytest.raises(TypeError):
        load(paths)


def test_a_file_that_is_missing_is_seen(tmp_path: Path) -> None:
    write(tmp_path, reviews(), metadata())[1].unlink()
    assert amazon_2014_files(tmp_path, "Beauty") is None


@pytest.mark.parametrize("which", [0, 1])
def test_truncated_archive_says_so(tmp_path: Path, which: int) -> None:
    paths = write(tmp_path, reviews(REVIEWS * 50), metadata())
    paths[which].write_bytes(paths[which].read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{paths[which].name}: the archive ends in the middle"):
        load(paths)


def test_archive_that_is_none_says_so(tmp_path: Path) -> None:
    paths = write(tmp_path, reviews(), metadata())
    paths[0].write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="expected a gzip file"):
        load(paths)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (reviews() + b"{'a': 1}\n", metadata(), r"reviews.*, line 5: expected a JSON object"),
        (b"[]\n", metadata(), "line 1: expected a JSON object with reviewerID"),
        (reviews([("", "B01", 1)]), metadata(), "line 1: expected reviewerID and asin as texts"),
        (b'{"reviewerID":"u","asin":"a","unixReviewTime":"x"}\n', b"", "in whole seconds"),
        (reviews() + b"\xff\n", metadata(), "line 5: expected UTF-8, found byte 0xff"),
        (b"", metadata(), "expected reviews, found none"),
        (reviews(), b"{'asin': 'B01'\n", r"meta.*, line 1: expected a Python dict"),
        (reviews(), b"__import__('os').getcwd()\n", r"meta.*, line 1: expected a Python dict"),
        (reviews(), b"{'title': 'x'}\n", "line 1: expected a dict with asin"),
        (reviews(), b"{'asin': 'B01', 'title': {'a': 1}}\n", "in field 'title' expected a text"),
        (reviews(), b"{'asin': 'B01', 'categories': ['a']}\n", "expected categories as a list of"),
    ],
)
def test_malformed_lines_name_file_line_and_expectation(
    tmp_path: Path, first: bytes, second: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, first, second))
