"""Tests of the interaction log: order, repeats, k-core, and agreement with the RecBole loader."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets.log import Log, Repeats, ordered, to_dataset, without_repeats
from benchmarks.datasets.recbole_atomic import load_recbole
from gti.data.dataset import DataError, Dataset, Provenance

ROWS = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, 3).map(float)),
    min_size=1,
    max_size=40,
)
NOWHERE = Provenance("a test", "none", {})


def items_of(dataset: Dataset) -> dict[str, str]:
    return {
        user: "".join(dataset.item_ids[item] for item in history)
        for user, history in zip(dataset.user_ids, dataset.histories, strict=True)
    }


def histories(log: Log) -> dict[str, str]:
    return items_of(to_dataset(log, "tiny", lambda _: {}, NOWHERE))


@given(ROWS)
def test_is_the_dataset_that_the_recbole_loader_reads(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("data")
    lines = "".join(f"{user}\t{item}\t{time}\n" for user, item, time in rows)
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    (folder / "tiny.inter").write_text(header + lines)
    texts = {item: {"title": item.upper()} for item in "czadb"}
    titles = "".join(f"{item}\t{item.upper()}\n" for item in texts)
    (folder / "tiny.item").write_text(f"item_id:token\ttitle:token\n{titles}")
    wanted = load_recbole(folder, "tiny", "tiny", "a test", "none")
    made = to_dataset(ordered(Log.of(rows, texts)), "tiny", lambda _: texts, NOWHERE)
    assert made.sha256 == wanted.sha256
    assert made.tied_last is not None
    assert wanted.tied_last is not None
    assert made.tied_last.tolist() == wanted.tied_last.tolist()


def test_equal_times_are_ordered_by_hash() -> None:
    by_hash = sorted("abcd", key=lambda i: hashlib.sha256(f"u\t{i}".encode()).hexdigest())
    log = Log.of([("u", item, 5.0) for item in "dcba"] + [("u", "b", 1.0)])
    assert histories(ordered(log)) == {"u": "b" + "".join(by_hash)}


@pytest.mark.parametrize(
    ("repeats", "left"),
    [
        ("keep", {"u": "aabaca", "v": "ab"}),
        ("consecutive", {"u": "abaca", "v": "ab"}),
        ("drop", {"u": "abc", "v": "ab"}),
    ],
)
def test_repeats_by_hand(repeats: Repeats, left: dict[str, str]) -> None:
    rows = [("u", item, float(time)) for time, item in enumerate("aabaca")]
    rows += [("v", "b", 9.0), ("v", "a", 8.0)]
    assert histories(without_repeats(ordered(Log.of(rows)), repeats)) == left


@given(ROWS)
def test_repeats_against_a_slow_reference(rows: list[tuple[str, str, float]]) -> None:
    log = ordered(Log.of(rows))
    whole = histories(log)
    dropped = {user: "".join(dict.fromkeys(items)) for user, items in whole.items()}
    assert histories(without_repeats(log, "drop")) == dropped
    runs = {
        user: "".join(i for n, i in enumerate(items) if n == 0 or items[n - 1] != i)
        for user, items in whole.items()
    }
    assert histories(without_repeats(log, "consecutive")) == runs


def test_k_core_counts_what_it_left_out_and_zero_keeps_unseen_items() -> None:
    log = ordered(Log.of([("u", "a", 1.0), ("u", "b", 2.0), ("v", "a", 3.0)], ["z", "a"]))
    whole = to_dataset(log, "tiny", lambda _: {}, NOWHERE)
    assert whole.item_ids == ("z", "a", "b")
    assert whole.provenance.counts == {}
    seen = to_dataset(log, "tiny", lambda _: {}, NOWHERE, 1)
    assert seen.item_ids == ("a", "b")
    assert seen.provenance.counts == {"users below the 1-core": 0, "items below the 1-core": 1}
    asked = []
    with pytest.raises(DataError, match="nothing is left of 3 interactions in the 2-core"):
        to_dataset(log, "tiny", lambda items: asked.append(items) or {}, NOWHERE, 2)
    assert not asked
