"""Tests of the Vibrent loader on small files of the shape that its publishers' script writes."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.datasets.vibrent import load_vibrent
from gti.data.dataset import DataError, Dataset

COLUMNS = "customer.id;outfit.id;rentalPeriod.start;rentalPeriod.end\n"
RENTALS = (
    COLUMNS
    + """00007;o.red1;2021-03-01;2021-03-08
00007;o.red1;2021-04-01;2021-04-08
00007;o.blue;2021-05-01;2021-05-08
00007;o.red2;2021-06-01;2021-06-08
00003;o.blue;2021-02-01;2021-02-08
00003;o.red2;2021-01-01;2021-01-08
00003;o.gone;2021-03-01;2021-03-08
"""
)
OLD = COLUMNS + "00003;o.blue;2019-01-01;2019-01-08\n00009;o.red1;2019-02-01;2019-02-08\n"
OUTFITS = """id;name;description;group;owner;timeCreated;retailPrice;outfit_tags;tag_categories
o.red1;Red dress;"Long;
and red";g.red;o_1;2018-01-01;1000;['Ann', 'Dress', 'Red'];['Brand', 'Category', 'Color']
o.red2;Red dress;;g.red;o_1;2018-01-01;1000;['Ann', 'Dress'];['Brand', 'Category', 'Color']
o.never;Grey coat;Warm;g.grey;o_2;2018-01-01;500;['Coat'];['Category']
o.blue;;nan;g.blue;o_2;2018-01-01;500;[];[]
"""


def write(
    folder: Path, rentals: str = RENTALS, outfits: str = OUTFITS, old: str | None = OLD
) -> Path:
    (folder / "user_activity_triplets.csv").write_text(rentals, encoding="utf-8")
    (folder / "outfits.csv").write_text(outfits, encoding="utf-8")
    if old is not None:
        (folder / "original_orders.csv").write_text(old, encoding="utf-8")
    return folder


def load(folder: Path, **changes: Any) -> Dataset:
    chosen = {"unit": "outfit", "orders": "activity", "duplicates": "keep", "k": 0} | changes
    return load_vibrent(folder, name="vibrent", source="a test", licence="none", **chosen)


def histories(dataset: Dataset) -> dict[str, list[str]]:
    return {
        user: [dataset.item_ids[item] for item in history]
        for user, history in zip(dataset.user_ids, dataset.histories, strict=True)
    }


def test_garments_by_hand(tmp_path: Path) -> None:
    dataset = load(write(tmp_path, old=None))
    assert dataset.item_ids == ("o.red1", "o.red2", "o.never", "o.blue", "o.gone")
    assert dataset.texts == (
        {
            "title": "Red dress",
            "description": "Long; and red",
            "brand": "Ann",
            "categories": "Dress, Red",
        },
        # As many tags as categories there are not: which one is the brand cannot be known.
        {"title": "Red dress", "categories": "Ann, Dress"},
        {"title": "Grey coat", "description": "Warm", "categories": "Coat"},
        {},
        {},
    )
    assert histories(dataset) == {
        "00007": ["o.red1", "o.red1", "o.blue", "o.red2"],
        "00003": ["o.red2", "o.blue", "o.gone"],
    }
    assert dataset.provenance.options == {
        "unit": "outfit",
        "orders": "activity",
        "duplicates": "keep",
        "k_core": 0,
    }


def test_designs_by_hand(tmp_path: Path) -> None:
    dataset = load(write(tmp_path), unit="group")
    assert dataset.item_ids == ("g.red", "g.grey", "g.blue")
    assert dataset.texts[0] == {
        "title": "Red dress",
        "description": "Long; and red",
        "brand": "Ann",
        "categories": "Dress, Red",
    }
    assert histories(dataset) == {
        "00007": ["g.red", "g.red", "g.blue", "g.red"],
        "00003": ["g.red", "g.blue"],
    }
    assert dataset.provenance.counts["rentals of outfits without a group, left out"] == 1


def test_a_design_takes_a_missing_text_from_its_next_garment(tmp_path: Path) -> None:
    header, first, middle, second, *rest = OUTFITS.splitlines(keepends=True)
    outfits = "".join([header, second, first, middle, *rest])
    texts = load(write(tmp_path, outfits=outfits), unit="group").texts[0]
    assert texts["description"] == "Long; and red"
    assert texts["categories"] == "Ann, Dress"


@pytest.mark.parametrize(
    ("unit", "duplicates", "first", "left_out"),
    [
        ("outfit", "consecutive", ["o.red1", "o.blue", "o.red2"], 1),
        ("outfit", "drop", ["o.red1", "o.blue", "o.red2"], 1),
        ("group", "consecutive", ["g.red", "g.blue", "g.red"], 1),
        ("group", "drop", ["g.red", "g.blue"], 2),
    ],
)
def test_repeated_rentals(
    tmp_path: Path, unit: str, duplicates: str, first: list[str], left_out: int
) -> None:
    dataset = load(write(tmp_path), unit=unit, duplicates=duplicates)
    assert histories(dataset)["00007"] == first
    assert dataset.provenance.counts["repeated rentals, left out"] == left_out


def test_orders_before_2020_come_first_where_they_are_wanted(tmp_path: Path) -> None:
    dataset = load(write(tmp_path), orders="all")
    assert histories(dataset)["00003"] == ["o.blue", "o.red2", "o.blue", "o.gone"]
    assert histories(dataset)["00009"] == ["o.red1"]
    assert set(dataset.provenance.files) == {
        "user_activity_triplets.csv",
        "original_orders.csv",
        "outfits.csv",
    }


def test_k_core_follows_the_duplicates(tmp_path: Path) -> None:
    with_repeats = load(write(tmp_path), k=2)
    assert with_repeats.item_ids == ("o.red1", "o.red2", "o.blue")
    without = load(write(tmp_path), k=2, duplicates="drop")
    assert without.item_ids == ("o.red2", "o.blue")
    assert histories(without) == {"00007": ["o.blue", "o.red2"], "00003": ["o.red2", "o.blue"]}
    assert without.provenance.counts["items below the 2-core"] == 3
    with pytest.raises(DataError, match=r"nothing is left .* choose a smaller k"):
        load(tmp_path, k=5)


def test_every_choice_gives_another_content_hash(tmp_path: Path) -> None:
    write(tmp_path)
    changes: list[dict[str, Any]] = [
        {},
        {"unit": "group"},
        {"duplicates": "drop"},
        {"k": 1},
        {"orders": "all"},
    ]
    assert len({load(tmp_path, **change).sha256 for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("rentals", "outfits", "message"),
    [
        ("a,b\n", OUTFITS, r"triplets\.csv, line 1: expected a column 'customer.id'"),
        (COLUMNS, OUTFITS, r"triplets\.csv: expected rentals, found none"),
        (RENTALS + "00001;o.blue\n", OUTFITS, r"line 9: expected 4 fields separated by ;, found 2"),
        (RENTALS + "00001;;2021-01-01;x\n", OUTFITS, "line 9: expected a customer.id and an out"),
        (RENTALS + "1;o.blue;soon;x\n", OUTFITS, r"line 9: expected rentalPeriod\.start .*'soon'"),
        (RENTALS, OUTFITS + "o.blue;x;x;g;o;t;1;[];[]\n", "line 7: outfit 'o.blue' stands twice"),
        (RENTALS, OUTFITS + "o.x;x;x;g;o;t;1;{};[]\n", "line 7: expected outfit_tags as a list"),
        (RENTALS, OUTFITS + 'o.x;"cut\n', r"outfits\.csv, line 7: .* may be truncated"),
        (RENTALS, OUTFITS + ";x;x;g;o;t;1;[];[]\n", "line 7: expected an id"),
        (RENTALS, OUTFITS.splitlines()[0] + "\n", r"outfits\.csv: expected outfits, found none"),
        (RENTALS, "id;name\n1;x\n", "line 1: expected a column 'description'"),
    ],
)
def test_malformed_files_name_file_line_and_expectation(
    tmp_path: Path, rentals: str, outfits: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, rentals, outfits))


def test_another_encoding_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "outfits.csv").write_bytes(OUTFITS.replace("Grey", "Grå").encode("latin-1"))
    with pytest.raises(DataError, match=r"outfits\.csv, line 5: expected UTF-8, found byte 0xe5"):
        load(tmp_path)
