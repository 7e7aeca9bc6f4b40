"""Tests of the Amazon Reviews 2023 loader: `datasets` reads small local files of the same shape."""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.datasets.amazon2023 import amazon_2023_files, load_amazon_2023
from benchmarks.datasets.card import MissingDataError
from gti.data.dataset import DataError, Dataset

pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("own_cache")

HEADER = "user_id,parent_asin,rating,timestamp\n"
# User w and item B3 have one interaction each; without them v and B2 are left with two each.
TRIPLES = """u,001,5.0,1588687728923
u,B2,4.0,1588687728922
u,NA,1.0,1588687728999
v,001,2.0,50
v,NA,3.0,60
v,B2,3.0,70
v,B3,3.0,80
w,B2,1.0,10
"""
META: list[dict[str, Any]] = [
    {"parent_asin": "X", "title": "Nobody's", "price": 3.5},
    {"parent_asin": "B2", "title": "Drum &amp; stick", "description": ["Loud.", "Very."],
     "features": ["round"], "price": "None", "store": "Ann", "categories": ["Music", "Drums"],
     "details": {"Brand": "Ann", "Weight": 3}},
    {"parent_asin": "001", "title": None, "description": [], "features": ["Short", "Sweet"],
     "price": None, "store": None, "categories": [], "details": {"UPC": "1"}},
    {"parent_asin": "B2", "title": "Second of its name"},
]  # fmt: skip


def write(
    folder: Path, triples: str | bytes = HEADER + TRIPLES, meta: str | None = None, suffix: str = ""
) -> list[Path]:
    if meta is None:
        meta = "".join(json.dumps(product) + "\n" for product in META)
    paths = []
    for stem, content in (("Music.csv", triples), ("meta_Music.jsonl", meta)):
        raw = content.encode() if isinstance(content, str) else content
        paths.append(folder / (stem + suffix))
        paths[-1].write_bytes(gzip.compress(raw) if suffix else raw)
    return paths


def load(files: list[Path] | None, k: int = 1, *, offline: bool = False) -> Dataset:
    return load_amazon_2023(
        "Music", k, files, "amazon-2023-music", "a test", "none", offline=offline
    )


def test_one_core_by_hand(tmp_path: Path) -> None:
    dataset = load(write(tmp_path))
    assert dataset.item_ids == ("001", "B2", "NA", "B3")
    assert dataset.texts == (
        {"description": "Short Sweet"},
        {
            "title": "Drum & stick",
            "description": "Loud. Very.",
            "brand": "Ann",
            "categories": "Music > Drums",
        },
        {},
        {},
    )
    assert dataset.user_ids == ("u", "v", "w")
    assert [history.tolist() for history in dataset.histories] == [[1, 0, 2], [0, 2, 1, 3], [1]]
    assert dataset.tied_last is not None
    assert not dataset.tied_last.any()
    assert dataset.provenance.options == {"k_core": 1}


def test_two_core_counts_what_it_leaves_out(tmp_path: Path) -> None:
    dataset = load(write(tmp_path), 2)
    assert dataset.item_ids == ("001", "B2", "NA")
    assert dataset.user_ids == ("u", "v")
    assert [history.tolist() for history in dataset.histories] == [[1, 0, 2], [0, 2, 1]]
    assert dataset.provenance.counts == {
        "users in the files": 3,
        "items in the files": 4,
        "interactions in the files": 8,
        "users below the 2-core": 1,
        "items below the 2-core": 1,
    }


def test_packed_files_are_found_and_hold_the_same_data(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.mkdir()
    packed.mkdir()
    assert amazon_2023_files(packed, "Music") is None
    files = write(packed, suffix=".gz")
    assert amazon_2023_files(packed, "Music") == files
    assert load(files).sha256 == load(write(plain)).sha256


def test_made_once_and_then_read_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(tmp_path)
    first = load(files)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert load(files).sha256 == first.sha256
    with pytest.raises(MissingDataError, match=r"`datasets` library, which is not installed"):
        load(files, 2)


def test_offline_without_a_cache_is_refused() -> None:
    with pytest.raises(MissingDataError, match=r"k_core = 5\) is not in the cache .* --offline"):
        load(None, 5, offline=True)


def test_from_the_hub_the_pinned_plain_files_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    asked = []

    def refuse(builder: str, data_files: list[str], **_: object) -> None:
        asked.append((builder, *data_files))
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(MissingDataError, match=r"could not be fetched .*no route.* by hand"):
        load(None)
    assert len(asked) == 1
    assert asked[0][0] == "text"
    assert re.fullmatch(
        r"hf://datasets/McAuley-Lab/Amazon-Reviews-2023@[0-9a-f]{40}"
        r"/benchmark/0core/rating_only/Music\.csv",
        asked[0][1],
    )


@pytest.mark.parametrize(
    ("triples", "meta", "message"),
    [
        ("a,b\n", None, r"Music\.csv, line 1: expected user_id,parent_asin,rating,timestamp"),
        (HEADER, None, "expected interactions, found none"),
        (HEADER + TRIPLES + "u,B2\n", None, r"line 10: expected user_id.* found 'u,B2'"),
        (HEADER + "u,B2,5.0,noon\n", None, "line 2: .*whole milliseconds, found 'u,B2,5.0,noon'"),
        (HEADER + ",B2,5.0,1\n", None, "line 2: expected"),
        ((HEADER + TRIPLES).encode() + b"\xff,B2,5.0,1\n", None, "expected UTF-8"),
        (HEADER + TRIPLES, "{}\n", r"meta_Music\.jsonl, line 1: expected a JSON object with par"),
        (HEADER + TRIPLES, '{"parent_asin": "B2"\n', "line 1: expected a JSON object"),
        (HEADER + TRIPLES, '{"parent_asin": "B2", "title": {}}\n', "line 1: expected a text"),
    ],
)
def test_malformed_files_name_file_line_and_expectation(
    tmp_path: Path, triples: str | bytes, meta: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, triples, meta))


@pytest.mark.parametrize("which", [0, 1])
def test_truncated_archive_says_so(tmp_path: Path, which: int) -> None:
    files = write(tmp_path, HEADER + TRIPLES * 200, suffix=".gz")
    files[which].write_bytes(files[which].read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{files[which].name}: the archive ends in the middle"):
        load(files)
