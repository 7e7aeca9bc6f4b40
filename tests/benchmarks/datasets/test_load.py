"""Tests of finding datasets: by card, in the data folder, by path."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.datasets import CARDS, DATA_VARIABLE, load_dataset, published_index
from gti.data.dataset import DataError

KNOWN_HASHES = {
    "scientific": "082ece80a391ee9fedff91cf32bf6fc96782d8f4f1a8ca141435ab55bfda51db",
    "beauty": "2b1b66ddb4ecf3925dcd39fd276954fff125f7852165f27065a441bb106e5d58",
}


def write_lcrec(folder: Path, stem: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.inter.json").write_text(json.dumps({"0": [0, 1, 0]}))
    (folder / f"{stem}.item.json").write_text(json.dumps({"0": {"title": "A"}, "1": {}}))
    (folder / f"{stem}.index.json").write_text(json.dumps({"0": ["<a_1>"], "1": ["<a_0>"]}))
    return folder


def write_recbole(folder: Path, stem: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.inter").write_text("user_id:token\titem_id:token\nu\t1\nu\t2\n")
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    return folder


@pytest.mark.parametrize("below", ["scientific", "."])
def test_card_is_found_in_its_subfolder_or_in_the_folder_itself(data: Path, below: str) -> None:
    write_lcrec(data / below, "Scientific")
    dataset = load_dataset("scientific")
    assert dataset.name == "scientific"
    assert dataset.provenance.source == CARDS["scientific"].source
    assert published_index("scientific").codes.tolist() == [[1], [0]]


def test_folder_without_a_card_is_found_by_name_and_by_path(data: Path) -> None:
    folder = write_lcrec(data / "toys", "Toys")
    names = ["toys", str(folder), f"lcrec:{folder}"]
    datasets = [load_dataset(name) for name in names]
    assert {dataset.name for dataset in datasets} == {"toys"}
    assert len({dataset.sha256 for dataset in datasets}) == 1
    assert load_dataset(f"recbole:{write_recbole(data / 'r', 'r')}").item_ids == ("1", "2")


def test_prefix_chooses_between_two_layouts_in_one_folder(data: Path) -> None:
    write_recbole(write_lcrec(data / "both", "Both"), "both")
    with pytest.raises(DataError, match=r"one dataset, found Both\.inter\.json, both\.inter"):
        load_dataset("both")
    assert load_dataset(f"recbole:{data / 'both'}").user_ids == ("u",)


def test_unknown_name_gets_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(DataError, match="unknown dataset 'ml100k'; did you mean 'ml-100k'"):
        load_dataset("ml100k")
    with pytest.raises(DataError, match="list datasets"):
        load_dataset("zzzz")


def test_card_without_its_files_says_how_to_get_them(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"found no Beauty\.inter\.json .*put Beauty\.inter\.json"):
        load_dataset("beauty")
    monkeypatch.delenv(DATA_VARIABLE)
    with pytest.raises(DataError, match=f"{DATA_VARIABLE} is not set"):
        load_dataset("beauty")


def test_histories_split_beforehand_are_refused_with_the_reason(data: Path) -> None:
    folder = write_recbole(data / "mini", "Mini.train")
    with pytest.raises(DataError, match=r"found Mini\.train\.inter, split beforehand"):
        load_dataset(str(folder))


def test_folder_without_data_and_missing_folder_are_said(data: Path) -> None:
    with pytest.raises(DataError, match=r"expected NAME\.inter\.json or NAME\.inter, found"):
        load_dataset(str(data))
    with pytest.raises(DataError, match="no such folder"):
        load_dataset(f"lcrec:{data / 'absent'}")


def test_dataset_without_published_index_says_so(data: Path) -> None:
    (write_lcrec(data / "toys", "Toys") / "Toys.index.json").unlink()
    with pytest.raises(DataError, match="no published Semantic IDs"):
        published_index("toys")


@pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} is not set")
@pytest.mark.parametrize(
    ("name", "items", "distinct"),
    [
        ("scientific", 4344, 4344),
        ("beauty", 12101, 12088),
    ],
)
def test_published_data_are_what_they_are_known_to_be(name: str, items: int, distinct: int) -> None:
    dataset = load_dataset(name)
    assert dataset.num_items == items
    assert dataset.sha256 == KNOWN_HASHES[name]
    published = published_index(name)
    assert (published.num_levels, published.num_codes) == (4, 256)
    assert published.distinct == distinct
