"""Tests of reading carded datasets from the user's folders, and of what is said where none is."""

import gzip
import json
from pathlib import Path

import pytest

from benchmarks.datasets import CARDS, DATA_VARIABLE, MissingDataError, load_dataset
from benchmarks.datasets import published_index as index_of
from gti.data.dataset import DataError

VIBRENT = {"unit": "outfit", "orders": "activity", "duplicates": "keep", "k_core": 0}
RENTALS = "customer.id;outfit.id;rentalPeriod.start;rentalPeriod.end\n1;a;2021-01-01;2021-01-08\n"

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    return folder


def write(folder: Path, **files: str | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(raw)


def test_vibrent_is_read_with_its_options(data: Path) -> None:
    outfits = "id;name;description;group;outfit_tags\na;A;;g;[]\n"
    write(data / "vibrent", user_activity_triplets__csv=RENTALS, outfits__csv=outfits)
    assert load_dataset("vibrent", options=VIBRENT).item_ids == ("a",)
    assert load_dataset("vibrent", options={**VIBRENT, "unit": "group"}).item_ids == ("g",)
    with pytest.raises(MissingDataError, match=r"found no .*with original_orders\.csv with"):
        load_dataset("vibrent", options={**VIBRENT, "orders": "all"})


def test_amazon_2014_is_read_from_its_own_files(data: Path) -> None:
    review = json.dumps({"reviewerID": "u", "asin": "a", "unixReviewTime": 1})
    write(
        data / "amazon-2014-toys",
        reviews_Toys_and_Games_5__json__gz=gzip.compress(review.encode()),
        meta_Toys_and_Games__json__gz=gzip.compress(b"{'asin': 'a', 'title': 'Kite'}"),
    )
    assert load_dataset("amazon-2014-toys").texts == ({"title": "Kite"},)


def test_amazon_2023_is_read_from_the_user_s_files(data: Path) -> None:
    pytest.importorskip("datasets")
    write(
        data / "amazon-2023-software",
        Software__csv="user_id,parent_asin,rating,timestamp\nu,a,5.0,1\n",
        meta_Software__jsonl='{"parent_asin": "a", "title": "Chess"}\n',
    )
    dataset = load_dataset("amazon-2023-software", options={"k_core": 1}, offline=True)
    assert dataset.texts == ({"title": "Chess"},)


def test_of_two_cuts_with_the_same_file_names_only_one_is_found_outside_its_folder(
    data: Path,
) -> None:
    files = {"Arts__inter__json": '{"0": [0]}', "Arts__item__json": '{"0": {"title": "Clay"}}'}
    write(data, **files)
    assert load_dataset("arts").name == "arts"
    with pytest.raises(MissingDataError, match=r"found no Arts\.inter\.json"):
        load_dataset("arts-mql4grec")
    write(data / "arts-mql4grec", **files)
    assert load_dataset("arts-mql4grec").name == "arts-mql4grec"


@pytest.mark.parametrize("name", CARDS)
def test_what_is_missing_is_said_with_how_to_get_it(data: Path, name: str) -> None:
    card = CARDS[name]
    if card.asset is not None:
        pytest.skip("an asset")
    with pytest.raises(MissingDataError) as caught:
        load_dataset(name, options=card.listed[0], offline=True)
    assert card.obtain in str(caught.value)


def test_a_folder_without_a_card_has_no_options_and_raw_files_no_index(data: Path) -> None:
    write(data / "mine", Mine__inter__json='{"0": [0]}', Mine__item__json='{"0": {}}')
    assert load_dataset("mine", options={}).item_ids == ("0",)
    with pytest.raises(DataError, match="unknown option 'k_core'; a folder without a card"):
        load_dataset("mine", options={"k_core": 5})
    with pytest.raises(DataError, match="vibrent has no published Semantic IDs"):
        index_of("vibrent")
