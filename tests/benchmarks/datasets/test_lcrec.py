"""Tests of the loader for LC-Rec's layout and of the import of published Semantic IDs."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.datasets import reading
from benchmarks.datasets.lcrec import load_lcrec, read_index
from benchmarks.datasets.reading import read_lines, read_text
from gti.data.dataset import DataError, Dataset

INTERACTIONS = {"0": [2, 0, 1], "1": [1, 1]}
ITEMS = {
    "0": {"title": "Nail\n lacquer", "description": "", "brand": None, "categories": "Beauty"},
    "2": {"title": "Brush", "categories": ["Tools", "Hair"], "year": 1999, "price": "3"},
    "1": {},
}
INDEX = {"0": ["<a_3>", "<b_0>"], "1": ["<a_3>", "<b_1>"], "2": ["<a_0>", "<b_5>"]}


def load(folder: Path, interactions: Any = INTERACTIONS, items: Any = ITEMS) -> Dataset:
    for name, content in (("inter", interactions), ("item", items)):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"Tiny.{name}.json").write_text(text, encoding="utf-8")
    return load_lcrec(folder, "Tiny", "tiny", "a test", "none")


def index_file(folder: Path, content: Any) -> Path:
    path = folder / "Tiny.index.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_items_texts_and_histories_in_file_order(tmp_path: Path) -> None:
    dataset = load(tmp_path)
    assert dataset.item_ids == ("0", "2", "1")
    assert dataset.texts == (
        {"title": "Nail lacquer", "categories": "Beauty"},
        {"title": "Brush", "categories": "Tools, Hair", "year": "1999"},
        {},
    )
    assert dataset.user_ids == ("0", "1")
    assert [history.tolist() for history in dataset.histories] == [[1, 0, 2], [2, 2]]
    assert all(history.dtype == np.int64 for history in dataset.histories)
    assert dataset.tied_last is None
    assert set(dataset.provenance.files) == {"Tiny.inter.json", "Tiny.item.json"}


def test_ids_as_strings_and_as_numbers_are_the_same_data(tmp_path: Path) -> None:
    strings = {user: [str(item) for item in items] for user, items in INTERACTIONS.items()}
    assert load(tmp_path).sha256 == load(tmp_path, strings).sha256


def test_items_that_only_histories_know_come_last_without_text(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"0": ["B0001", 0, 1]})
    assert dataset.item_ids == ("0", "2", "1", "B0001")
    assert dataset.texts[3] == {}


@pytest.mark.parametrize(
    ("interactions", "message"),
    [
        ("[]", "line 1: expected a JSON object, found list"),
        ("{}", "line 1: expected at least one user"),
        ('{"0": [1, 2],\n"1": [3, ', r"line 2, column \d+: expected JSON .* found the end"),
        ('{"0": [1, 2],\n"1": [3, oops]}', "line 2, column 10: expected JSON .*oops"),
        ('{"0": [1],\n"1": 5}', "line 2: entry '1': expected a list of item ids, found 5"),
        ('{"0": [1],\n"1": [2, 1.5]}', "line 2: entry '1': expected item ids .*1.5"),
        ('{"0": [1],\n"1": [true]}', "line 2: entry '1': expected item ids .*True"),
        ('{"0": [1],\n"0": [2]}', "line 1: entry '0': expected each key once"),
        ("  ", "expected data, found an empty file"),
        ("[" * 100_000, r"line 1(, column \d+)?: expected"),
    ],
)
def test_malformed_interactions_name_file_line_and_expectation(
    tmp_path: Path, interactions: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, interactions)
    assert str(tmp_path / "Tiny.inter.json") in str(caught.value)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ('{"0": "Brush"}', "line 1: entry '0': expected an object of text fields, found 'Brush'"),
        ('{"0": {},\n"1": {"title": {}}}', "line 2: entry '1': expected in field 'title' a text"),
    ],
)
def test_malformed_items_name_file_line_and_expectation(
    tmp_path: Path, items: str, message: str
) -> None:
    with pytest.raises(DataError, match=rf"Tiny\.item\.json, {message}"):
        load(tmp_path, items=items)


def test_missing_file_is_named(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "Tiny.item.json").unlink()
    with pytest.raises(DataError, match=r"Tiny\.item\.json: no such file"):
        load_lcrec(tmp_path, "Tiny", "tiny", "a test", "none")


def test_index_rows_follow_the_dataset_s_items(tmp_path: Path) -> None:
    published = read_index(index_file(tmp_path, INDEX), load(tmp_path))
    assert published.codes.tolist() == [[3, 0], [0, 5], [3, 1]]
    assert published.num_codes == 6
    assert published.codebooks is None
    assert published.description["quantiser"] == "published"
    assert read_index(tmp_path / "Tiny.index.json", load(tmp_path), 256).num_codes == 256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0": ["<a_3>"]}, "entry '2': expected 1 tokens, as the first item has"),
        ({"0": []}, "entry '0': expected a list of tokens"),
        ({"0": "<a_3><b_0>"}, "entry '0': expected a list of tokens"),
        ({"0": ["<b_3>", "<a_0>"]}, "entry '0': expected a token '<a_NUMBER>' at level 0"),
        ({"2": ["<a_3>", "<b_-1>"]}, "entry '2': expected a token '<b_NUMBER>' at level 1"),
        ({"2": ["<a_3>", "<b_07>"]}, "entry '2': expected a token '<b_NUMBER>' at level 1"),
        ({"2": ["<a_3>", 7]}, "entry '2': expected a token '<b_NUMBER>' at level 1, found 7"),
        ({"9": ["<a_3>", "<b_0>"]}, "entry '9': expected an item of dataset tiny"),
    ],
)
def test_malformed_index_names_the_entry(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = index_file(tmp_path, {**INDEX, **change})
    with pytest.raises(DataError, match=rf"Tiny\.index\.json, line 1: {message}"):
        read_index(path, load(tmp_path))


def test_index_that_lacks_an_item_or_exceeds_the_codes_is_refused(tmp_path: Path) -> None:
    dataset = load(tmp_path)
    with pytest.raises(DataError, match="expected codes below 4, found 5"):
        read_index(index_file(tmp_path, INDEX), dataset, 4)
    del (shorter := dict(INDEX))["2"]
    with pytest.raises(DataError, match="expected a Semantic ID for item '2', found none"):
        read_index(index_file(tmp_path, shorter), dataset)


@pytest.mark.parametrize("codes", [{"0": [3, 0], "1": [3, 1], "2": [0, 5]}])
def test_an_index_of_plain_integers_holds_codes_from_0_in_each_level(
    tmp_path: Path, codes: dict[str, list[int]]
) -> None:
    dataset = load(tmp_path)
    plain = read_index(index_file(tmp_path, codes), dataset)
    assert plain.codes.tolist() == [codes[item] for item in dataset.item_ids]
    assert plain.num_codes == 6
    for wrong, found in (({"2": ["<a_0>", "<b_5>"]}, "'<a_0>'"), ({"1": [3, -1]}, "-1")):
        with pytest.raises(DataError, match=f"a whole number from 0 at level ., found {found}"):
            read_index(index_file(tmp_path, {**codes, **wrong}), dataset)


@pytest.mark.parametrize(
    "missing", [float("nan"), None, "", "nan", "NaN", "None", " null ", [None]]
)
def test_what_stands_for_a_missing_text_is_no_text(tmp_path: Path, missing: object) -> None:
    dataset = load(tmp_path, items={**ITEMS, "1": {"title": missing, "brand": "Nan & Co"}})
    assert dataset.texts[2] == {"brand": "Nan & Co"}


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    items = {**ITEMS, "1": {"title": "Hat \ud83c", "brand": "\ud83c\udf89"}}
    dataset = load(tmp_path, items=json.dumps(items))
    assert dataset.texts[2] == {"title": "Hat \ufffd", "brand": "\U0001f389"}
    assert len(dataset.sha256) == 64
    for interactions in ({"\ud83c": [0, 1, 2]}, {"0": [0, 1, "\udf89"]}):
        with pytest.raises(DataError, match=r"Tiny\.inter\.json, line 1: entry"):
            load(tmp_path, interactions)


def test_files_that_name_items_differently_are_refused_with_an_id_of_each(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Tiny\.inter\.json and .*Tiny\.item\.json name items"):
        load(tmp_path, {"0": ["0002", "0000", "0001"]})
    with pytest.raises(DataError, match=r"the first has items such as 'B7', the second .* '0'"):
        load(tmp_path, {"0": ["B7", "B8", 0, "B9"]})
    with pytest.raises(DataError, match="the second no item"):
        load(tmp_path, items={})


TEXT = st.text(st.characters(), max_size=5)  # surrogates among them
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@given(
    interactions=VALUE | st.dictionaries(st.sampled_from("01a"), st.lists(VALUE, max_size=3)),
    items=VALUE | st.dictionaries(st.sampled_from("012"), st.fixed_dictionaries({"title": VALUE})),
)
def test_whatever_the_files_hold_is_a_dataset_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, interactions: object, items: object
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        dataset = load(folder, json.dumps(interactions), json.dumps(items))
    except DataError as error:
        told = str(error)
    else:
        told = ""
        assert len(dataset.sha256) == 64
        assert all(text for texts in dataset.texts for text in texts.values())
    told.encode()
    assert not told or "Tiny." in told


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000])
def test_numbers_and_nesting_beyond_python_are_one_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"Tiny\.inter\.json"):
        load(tmp_path, f'{{"0": {text}}}')


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "Tiny.inter.json"
    os.mkfifo(pipe)
    for read in (read_text, lambda path: next(read_lines(path))):
        with pytest.raises(DataError, match=f"{pipe}: cannot be read: not a regular file"):
            read(pipe)


def test_a_line_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 1 << 10)
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n" + b"0" * 5000))
    lines = read_lines(path)
    assert next(lines) == (1, "{}")
    with pytest.raises(DataError, match="line 2: expected lines of less than 1,024 bytes"):
        next(lines)


@pytest.mark.parametrize("text", ["\u200b\u200b", "\ufeff", "\u200e \u2060", "\x00"])
def test_a_text_that_shows_nothing_is_missing(text: str) -> None:
    assert reading.clean(text) == ""
    assert reading.clean(f"{text}a") != ""
