"""The ranks table: what is written is read back, and what is wrong is named."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.perf.honest_records.by_hand import ranks_by_hand
from leaderboard.records.canonical import file_sha256
from leaderboard.records.ranks import (
    SCHEMA,
    Ranks,
    RanksError,
    coded,
    combined,
    concatenate,
    read_ranks,
    write_ranks,
)
from leaderboard.records.record import RecordError

LOSSES = {"nll": [0.1, 7.25, 1 / 3], "trie_nll": [0.1, 7.0, 0.3]}


def small(**changes: object) -> Ranks:
    columns: dict[str, object] = {
        "split": ["test", "test", "validation"],
        "user": ["1", "häna", "1"],
        "item": ["a", "b", "c"],
        "target_popularity": [7, 0, 3],
        "history_length": [5, 6, 4],
    }
    return ranks_by_hand([(4, 2), None, (0, 0)], **{**columns, **changes})


def rewritten(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    ranks = small()
    digest = write_ranks(tmp_path / "x.parquet", ranks)
    again = read_ranks(tmp_path / "x.parquet")
    assert digest == file_sha256(tmp_path / "x.parquet")
    for name in ("user", "item", "in_beam", "num_better", "num_tied", "target_popularity"):
        left, right = getattr(ranks, name), getattr(again, name)
        assert left.dtype.kind == right.dtype.kind
        assert left.tolist() == right.tolist()


def test_outside_the_beam_is_null_in_the_file_and_types_are_the_stated_ones(tmp_path: Path) -> None:
    write_ranks(tmp_path / "x.parquet", small())
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema.equals(SCHEMA)
    assert table.column("num_better").to_pylist() == [4, None, 0]
    assert table.column("num_tied").to_pylist() == [2, None, 0]


def test_losses_are_read_back_to_the_last_digit_and_null_where_unmeasured(tmp_path: Path) -> None:
    write_ranks(tmp_path / "x.parquet", small(**LOSSES))
    again = read_ranks(tmp_path / "x.parquet")
    assert again.has_nll
    assert {name: getattr(again, name).tolist() for name in LOSSES} == LOSSES
    write_ranks(tmp_path / "y.parquet", small())
    assert not read_ranks(tmp_path / "y.parquet").has_nll
    assert pq.read_table(tmp_path / "y.parquet").column("nll").to_pylist() == [None] * 3


def test_peers_are_columns_where_some_target_has_them(tmp_path: Path) -> None:
    counts = {"peers": [9, 0, 4], "peers_better": [8, 0, 0], "peers_tied": [1, 0, 2]}
    write_ranks(tmp_path / "x.parquet", small(**counts))
    again = read_ranks(tmp_path / "x.parquet")
    assert again.has_peers
    assert {name: getattr(again, name).tolist() for name in counts} == counts
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column("peers_tied").to_pylist() == [1, None, 2]
    place = table.column_names.index("peers_better")
    half = table.set_column(place, "peers_better", pa.array([None, None, 0], pa.int32()))
    with pytest.raises(RanksError, match="row 0: only some of peers, peers_better, peers_tied are"):
        read_ranks(rewritten(tmp_path / "x.parquet", half))
    write_ranks(tmp_path / "y.parquet", small())
    assert not read_ranks(tmp_path / "y.parquet").has_peers
    assert "peers" not in pq.read_table(tmp_path / "y.parquet").column_names


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    first = write_ranks(tmp_path / "x.parquet", small())
    second = write_ranks(tmp_path / "y.parquet", read_ranks(tmp_path / "x.parquet"))
    other = write_ranks(tmp_path / "z.parquet", small(num_better=[5, 0, 0]))
    assert first == second != other


def test_no_rows_are_a_valid_table(tmp_path: Path) -> None:
    empty = small().where(np.zeros(3, dtype=bool))
    write_ranks(tmp_path / "x.parquet", empty)
    assert len(read_ranks(tmp_path / "x.parquet")) == 0


def test_splits_are_taken_apart_and_put_together() -> None:
    ranks = small()
    assert ranks.of_split("validation").item.tolist() == ["c"]
    joined = concatenate([ranks.of_split("test"), ranks.of_split("validation")])
    assert joined.item.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": ["test", "train", "test"]}, "row 1, column split: found 'train'"),
        ({"num_better": [-1, 0, 0]}, "row 0, column num_better: found -1"),
        ({"history_length": [1, 2, -3]}, "row 2, column history_length: found -3"),
        ({"num_tied": [0, 3, 0]}, "row 1: a target outside the beam has counts"),
        ({"user": ["1", "2"]}, "unlike length"),
        ({"grade": [1, 1, 300]}, "column grade holds values that do not fit int8"),
        ({"num_better": [0.5, 0, 0]}, "column num_better holds values that do not fit int32"),
        ({"user": ["1", "1", "1"], "item": ["a", "a", "c"]}, "row 1 repeats split test, user 1"),
        ({"num_better": [[1], [0], [0]]}, "expected one dimension"),
        (
            {"peers": [0, 2, 0], "peers_better": [0, 2, 0], "peers_tied": [0, 1, 0]},
            "row 1: 2 better",
        ),
        ({"peers_better": [1, 0, 0]}, "row 0: 1 better and 0 tied peers of 0"),
        ({"transitions": [0, -1, 0]}, "row 1, column transitions: found -1"),
        (LOSSES | {"nll": [1, np.nan, 2]}, "row 1: nll or trie_nll is missing where others are"),
        ({"nll": [1, 2, 3]}, "row 0: nll or trie_nll is missing"),
        (LOSSES | {"trie_nll": [1, -0.5, 2]}, "row 1, column trie_nll: found -0.5"),
        (LOSSES | {"nll": [1, 2, np.inf]}, "row 2, column nll: found inf"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row_and_column(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RanksError, match=message.replace("(", r"\(")):
        small(**changes)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read ranks .*gone\.parquet: No such file"):
        read_ranks(tmp_path / "gone.parquet")


@pytest.mark.parametrize("kept", [0, 3, 200, -5])
def test_a_truncated_file_is_one_clear_line(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "x.parquet"
    write_ranks(path, small())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RecordError, match=r"x\.parquet: not a whole parquet file") as caught:
        read_ranks(path)
    assert "\n" not in str(caught.value)


def test_wrong_columns_types_and_nulls_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_ranks(path, small())
    table = pq.read_table(path)
    with pytest.raises(RanksError, match="found columns"):
        read_ranks(rewritten(path, table.drop_columns(["grade"])))
    place = table.column_names.index("grade")
    wide = table.set_column(place, "grade", table.column("grade").cast(pa.int64()))
    with pytest.raises(RanksError, match="column grade: found type int64, expected int8"):
        read_ranks(rewritten(path, wide))
    holes = table.set_column(place, "grade", pa.array([1, None, 1], pa.int8()))
    with pytest.raises(RanksError, match="column grade: 1 null, expected none"):
        read_ranks(rewritten(path, holes))
    place = table.column_names.index("num_tied")
    half = table.set_column(place, "num_tied", pa.array([None, None, 0], pa.int32()))
    with pytest.raises(RanksError, match="row 0: only some of num_better, num_tied are null"):
        read_ranks(rewritten(path, half))
    place = table.column_names.index("nll")
    some = table.set_column(place, "nll", pa.array([1.0, None, None], pa.float64()))
    with pytest.raises(RanksError, match="row 0: nll or trie_nll is missing"):
        read_ranks(rewritten(path, some))
    place = table.column_names.index("num_tied")
    negative = table.set_column(place, "num_tied", pa.array([-2, None, 0], pa.int32()))
    with pytest.raises(RanksError, match=r"x\.parquet: row 0, column num_tied: found -2"):
        read_ranks(rewritten(path, negative))


KEYS = st.tuples(
    st.sampled_from(["test", "validation"]),
    st.sampled_from(["a", "b", "ä"]),
    st.integers(0, 2),
    st.sampled_from(["x", "y"]),
)


@given(st.lists(KEYS, max_size=25))
def test_the_first_repeated_row_is_the_one_a_set_finds(
    keys: list[tuple[str, str, int, str]],
) -> None:
    seen: set[tuple[str, str, int, str]] = set()
    first = next((row for row, key in enumerate(keys) if key in seen or seen.add(key)), None)
    split, user, wording, item = ([key[place] for key in keys] for place in range(4))
    columns = {"split": split, "user": user, "wording": wording, "item": item}
    ones: dict[str, object] = {"grade": [1] * len(keys), "in_beam": [True] * len(keys)}
    zeros = ("num_better", "num_tied", "target_popularity", "history_length")
    table = {**columns, **ones, **{name: [0] * len(keys) for name in zeros}}
    if first is None:
        assert len(Ranks(**table)) == len(keys)  # type: ignore[arg-type]
    else:
        expected = "split {}, user {}, wording {}, item {}".format(*keys[first])
        with pytest.raises(RanksError, match=f"row {first} repeats {expected}"):
            Ranks(**table)  # type: ignore[arg-type]


@given(st.lists(st.text("aBä~", max_size=3), max_size=20))
def test_a_column_by_number_names_the_same_texts(texts: list[str]) -> None:
    column = coded(np.array(texts, dtype=np.str_))
    assert column.names[column.numbers].tolist() == texts
    ordered = column.in_order()
    assert ordered.names.tolist() == sorted(set(texts))
    assert ordered.names[ordered.numbers].tolist() == texts


@given(st.lists(st.tuples(*[st.integers(0, 2**40)] * 3), min_size=1, max_size=20))
def test_combined_numbers_stand_in_the_order_of_the_rows(rows: list[tuple[int, int, int]]) -> None:
    keys = combined(*(np.array([row[place] for row in rows]) for place in range(3))).tolist()
    for left, key in zip(rows, keys, strict=True):
        for right, other in zip(rows, keys, strict=True):
            assert (left < right, left == right) == (key < other, key == other)


def test_a_part_of_a_table_has_its_columns_by_number_too(tmp_path: Path) -> None:
    write_ranks(tmp_path / "x.parquet", small())
    part = read_ranks(tmp_path / "x.parquet").where(np.array([False, True, True]))
    for name in ("split", "user", "item"):
        column = part.coded(name)
        assert column.names[column.numbers].tolist() == getattr(part, name).tolist()
    assert part.coded("user").in_order().names.tolist() == ["1", "häna"]


def test_a_file_without_dictionaries_is_read_alike(tmp_path: Path) -> None:
    write_ranks(tmp_path / "x.parquet", small())
    table = pq.read_table(tmp_path / "x.parquet")
    pq.write_table(table, tmp_path / "plain.parquet", use_dictionary=False)
    one, other = (read_ranks(tmp_path / f"{name}.parquet") for name in ("x", "plain"))
    assert one.user.tolist() == other.user.tolist()
    assert (
        one.coded("item").in_order().names.tolist() == other.coded("item").in_order().names.tolist()
    )
