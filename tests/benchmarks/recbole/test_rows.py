"""Tests of counts and rows made of scores that another library computed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.recbole.models import MODELS
from benchmarks.recbole.rows import part_counts, plan_rows, reference_card, score_counts
from benchmarks.references.next_item import popularity_counts
from gti.data.dataset import Dataset, Provenance, Split, leave_one_out

HISTORIES = [[0, 1, 2, 3], [3, 1, 0], [4, 4, 1, 4, 2]]


def split_of(histories: list[list[int]], num_items: int) -> Split:
    dataset = Dataset(
        name="test",
        item_ids=tuple(map(str, range(num_items))),
        texts=({},) * num_items,
        user_ids=tuple(map(str, range(len(histories)))),
        histories=tuple(np.array(history, dtype=np.int64) for history in histories),
        tied_last=None,
        provenance=Provenance("a test", "none", {}),
    )
    return leave_one_out(dataset)


def slow_counts(scores: list[float], target: int, removed: set[int]) -> tuple[int, int]:
    others = [s for i, s in enumerate(scores) if i != target and i not in removed]
    return sum(s > scores[target] for s in others), sum(s == scores[target] for s in others)


@settings(deadline=None, max_examples=80)
@given(
    scores=arrays(np.float32, (4, 6), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    targets=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    removed=st.none() | st.lists(st.sets(st.integers(0, 5)), min_size=4, max_size=4),
)
def test_counts_are_those_of_comparing_item_by_item(scores, targets, removed) -> None:
    gone = None if removed is None else [np.array(sorted(r), dtype=np.int64) for r in removed]
    found = score_counts(scores, np.array(targets), gone)
    expected = [
        slow_counts(scores[row].tolist(), target, set() if removed is None else removed[row])
        for row, target in enumerate(targets)
    ]
    assert list(zip(found.num_better.tolist(), found.num_tied.tolist(), strict=True)) == expected


@pytest.mark.parametrize("part", ["validation", "test"])
def test_known_interactions_as_scores_give_the_counts_of_popularity(part: str) -> None:
    split = split_of(HISTORIES, 5)
    known = np.concatenate([split.history(row, part) for row in range(3)])
    scores = np.tile(np.bincount(known, minlength=5).astype(np.float32), (3, 1))
    found, expected = part_counts(scores, split, part, "keep"), popularity_counts(split, 5, part)
    np.testing.assert_array_equal(found.num_better, expected.num_better)
    np.testing.assert_array_equal(found.num_tied, expected.num_tied)


def test_the_settings_rule_takes_seen_items_out_but_never_the_target() -> None:
    split = split_of(HISTORIES, 5)
    scores = np.tile(np.array([5, 4, 3, 2, 1], dtype=np.float32), (3, 1))
    assert part_counts(scores, split, "test", "keep").num_better.tolist() == [3, 0, 2]
    # User 2 took items 4, 4, 1, 4 and then 2: 0 alone stays above it.
    assert part_counts(scores, split, "test", "remove").num_better.tolist() == [0, 0, 1]


def test_the_target_stays_where_it_was_seen_before() -> None:
    split = split_of([[1, 0, 1]], 3)
    scores = np.array([[3, 2, 1]], dtype=np.float32)
    counts = part_counts(scores, split, "test", "remove")
    assert (counts.num_better.tolist(), counts.num_tied.tolist()) == ([0], [0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    scores = np.zeros((1, 3), dtype=np.float32)
    scores[0, 2] = bad
    with pytest.raises(ValueError, match="not finite"):
        score_counts(scores, np.array([0]), None)


def test_another_setting_of_a_model_makes_another_cell() -> None:
    assert reference_card("sasrec", 19).hash != reference_card("sasrec", 20).hash
    assert reference_card("pop", 19).hash == reference_card("pop", 20).hash


def test_only_what_draws_has_seeds(tmp_path: Path, write_setting) -> None:
    from benchmarks.inputs.catalogue import find_setting

    setting = find_setting(str(write_setting(tmp_path))).setting
    rows = plan_rows(setting, list(MODELS), [0, 1], tmp_path)
    found = [(row.card.key, row.seed) for row in rows]
    assert found == [
        ("recbole-pop", 0),
        ("recbole-itemknn", 0),
        *((f"recbole-{name}", seed) for name in ("gru4rec", "sasrec") for seed in (0, 1)),
    ]
    assert {row.state for row in rows} == {"missing"}
