"""Tests of the loader for RecBole's atomic files, on small files and on MovieLens-100K itself."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets.recbole_atomic import Columns, load_recbole, natural_title
from gti.data.dataset import DataError, Dataset

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ITEMS = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "10\tToy Story\t1995\tAnimation Children's Comedy\n"
    "20\tGodfather, The\t1972\tDrama\n"
    "30\tunkonwn\tunkonwn\tunknown\n"
)


def load(folder: Path, interactions: str | bytes | None, items: str | None = ITEMS) -> Dataset:
    if interactions is not None:
        content = interactions.encode() if isinstance(interactions, str) else interactions
        (folder / "tiny.inter").write_bytes(content)
    if items is not None:
        (folder / "tiny.item").write_text(items, encoding="utf-8")
    return load_recbole(folder, "tiny", "tiny", "a test", "none")


def histories(dataset: Dataset) -> dict[str, list[str]]:
    return {
        user: [dataset.item_ids[item] for item in history]
        for user, history in zip(dataset.user_ids, dataset.histories, strict=True)
    }


def test_items_texts_and_histories_by_time(tmp_path: Path) -> None:
    dataset = load(
        tmp_path, HEADER + "b\t20\t5\t300\na\t10\t1\t100\nb\t10\t2\t200\nb\t20\t4\t100\n"
    )
    assert dataset.item_ids == ("10", "20", "30")
    assert dataset.texts == (
        {"title": "Toy Story", "year": "1995", "categories": "Animation, Children's, Comedy"},
        {"title": "The Godfather", "year": "1972", "categories": "Drama"},
        {},
    )
    assert dataset.user_ids == ("b", "a")
    assert histories(dataset) == {"b": ["20", "10", "20"], "a": ["10"]}
    assert dataset.tied_last is not None
    assert dataset.tied_last.tolist() == [False, False]
    file_hash = hashlib.sha256((tmp_path / "tiny.inter").read_bytes()).hexdigest()
    assert dataset.provenance.files["tiny.inter"] == file_hash


@given(st.permutations(["10", "20", "30", "40", "50"]))
def test_equal_times_are_ordered_by_hash_whatever_the_file_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    lines = "".join(f"u\t{item}\t1\t7\n" for item in order)
    dataset = load(tmp_path_factory.mktemp("data"), HEADER + lines, items=None)
    by_hash = sorted(order, key=lambda item: hashlib.sha256(f"u\t{item}".encode()).hexdigest())
    assert histories(dataset) == {"u": by_hash}
    assert dataset.tied_last is not None
    assert dataset.tied_last.all()


def test_without_timestamps_the_order_is_the_file_s(tmp_path: Path) -> None:
    text = "item_id:token\tuser_id:token\n20\tu\n10\tu\n20\tu\n"
    dataset = load(tmp_path, text)
    assert histories(dataset) == {"u": ["20", "10", "20"]}
    assert dataset.tied_last is None


def test_items_that_only_interactions_know_come_last_without_text(tmp_path: Path) -> None:
    dataset = load(tmp_path, HEADER + "u\t99\t1\t1\nu\t10\t1\t2\n")
    assert dataset.item_ids == ("10", "20", "30", "99")
    assert dataset.texts[3] == {}


def test_other_columns_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    items = (
        "item_id:token\ttitle:token_seq\tbrand:token\tcategories:token_seq\r\n1\tA  b\tC\tD, E\r\n"
    )
    dataset = load(tmp_path, "user_id:token\titem_id:token\r\nu\t1\r\n", items)
    assert dataset.texts == ({"title": "A b", "brand": "C", "categories": "D, E"},)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Fish Called Wanda, A", "A Fish Called Wanda"),
        ("Good, The Bad and The Ugly, The", "The Good, The Bad and The Ugly"),
        ("Enfer, L'", "L'Enfer"),
        ("Queen Margot (Reine Margot, La)", "Queen Margot (La Reine Margot)"),
        ("Bye Bye, Love", "Bye Bye, Love"),
        ("Paris, Texas", "Paris, Texas"),
        ("Truth or Consequences, N.M.", "Truth or Consequences, N.M."),
        ("Thesis, Theory", "Thesis, Theory"),
    ],
)
def test_trailing_articles_move_to_the_front(title: str, expected: str) -> None:
    assert natural_title(title) == expected


@pytest.mark.parametrize(
    ("interactions", "message"),
    [
        ("", r"tiny\.inter: expected data, found an empty file"),
        ("user_id\titem_id\n1\t2\n", r"line 1: expected columns written name:type .*'user_id'"),
        ("user_id:token\tuser_id:token\n", "line 1: column 'user_id' stands twice"),
        ("user_id:token\ttime:float\n1\t2\n", "line 1: expected a column 'item_id'"),
        (HEADER, "line 2: expected an interaction, found the end"),
        (HEADER + "1\t2\t3\t4\n1\t2\t3", "line 3: expected 4 tab-separated fields, found 3"),
        (HEADER + "1\t2\t3\t4\t5\n", "line 2: expected 4 tab-separated fields, found 5"),
        (HEADER + "1\t2\t3\tnoon\n", "line 2: expected a timestamp .*'noon'"),
        (HEADER + "1\t2\t3\tnan\n", "line 2: expected a timestamp .*'nan'"),
        (HEADER + "1\t\t3\t4\n", "line 2: expected a user_id and an item_id, found '1' and ''"),
        (
            HEADER.encode() + b"1\t2\t3\t4\n\xff\t2\t3\t4\n",
            "line 3: expected UTF-8, found byte 0xff",
        ),
        (None, r"tiny\.inter: no such file"),
    ],
)
def test_malformed_interactions_name_file_line_and_expectation(
    tmp_path: Path, interactions: str | bytes | None, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, interactions)
    assert str(tmp_path / "tiny.inter") in str(caught.value)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("item_id:token\ttitle:token_seq\n1\tA\n1\tB\n", "line 3: item_id '1' stands twice"),
        ("item_id:token\ttitle:token_seq\n\tA\n", "line 2: expected an item_id, found nothing"),
        ("item_id:token\ttitle:token_seq\n1\n", "line 2: expected 2 tab-separated fields, found 1"),
    ],
)
def test_malformed_items_name_file_line_and_expectation(
    tmp_path: Path, items: str, message: str
) -> None:
    with pytest.raises(DataError, match=rf"tiny\.item, {message}"):
        load(tmp_path, HEADER + "1\t1\t1\t1\n", items)


def test_movielens_is_what_it_is_known_to_be(movielens_folder: Path) -> None:
    dataset = load_recbole(movielens_folder, "ml-100k", "ml-100k", "GroupLens", "its own")
    assert (dataset.num_items, len(dataset.user_ids)) == (1682, 943)
    lengths = [len(history) for history in dataset.histories]
    assert (sum(lengths), min(lengths), max(lengths)) == (100_000, 20, 737)
    assert dataset.texts[0]["categories"] == "Animation, Children's, Comedy"
    assert sum(not text for text in dataset.texts) == 1
    assert dataset.tied_last is not None
    assert np.isclose(dataset.tied_last.mean(), 0.44, atol=0.005)
    first = load_recbole(movielens_folder, "ml-100k", "ml-100k", "GroupLens", "its own")
    assert dataset.sha256 == first.sha256
    assert dataset.sha256 == "f62bf2b01acd71ca0b608b092f5ee0bee5036d2bf90fb8d78dd6dc963a807f69"


STEAM = "user_id:token\tproduct_id:token\twhen:float\n"
GAMES = (
    "id:token\tapp_name:token_seq\tcategories:token_seq\n"
    "7\tSword &amp; Shield\t'Games', 'Arts &amp; Crafts'\n"
    "9\t&quot;Quoted&quot;\tNone\n"
)
NAMED = {
    "item_column": "product_id",
    "time_column": "when",
    "text_item_column": "id",
    "title_column": "app_name",
}


def test_columns_can_be_named_and_entities_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "tiny.inter").write_text(STEAM + "a\t9\t2\na\t7\t1\n", encoding="utf-8")
    (tmp_path / "tiny.item").write_text(GAMES, encoding="utf-8")
    columns = Columns.of(NAMED, "tiny")
    dataset = load_recbole(tmp_path, "tiny", "tiny", "a test", "none", columns)
    assert histories(dataset) == {"a": ["7", "9"]}
    assert dataset.texts == (
        {"title": "Sword & Shield", "categories": "Games, Arts & Crafts"},
        {"title": '"Quoted"'},
    )


def test_a_missing_column_is_told_how_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'item_id', found .*product_id.* item_column"):
        load(tmp_path, STEAM + "a\t9\t2\n")
    for options, said in (
        ({"item_colum": "x"}, "did you mean 'item_column'"),
        ({"item_column": 3}, "is 3; expected the name of a column"),
    ):
        with pytest.raises(DataError, match=said):
            Columns.of(options, "tiny")


def test_files_that_name_items_differently_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tiny\.inter and .*tiny\.item name items differently"):
        load(tmp_path, HEADER + "a\t0010\t1\t1\na\t0020\t1\t2\n")
