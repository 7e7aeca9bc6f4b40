"""Sums from the counts of equal rows are, to the last digit, those of `math.fsum` over the rows."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.perf.honest_records.by_hand import ranks_by_hand
from leaderboard.metrics import metrics as m
from leaderboard.metrics.equal_rows import MOST_ROWS, equal_rows, exact_sums
from leaderboard.records.ranks import Ranks

CUTOFFS = (1, 5, 10, 50)


def ranks_from(seed: int, rows: int, spread: int = 70) -> Ranks:
    generator = np.random.default_rng(seed)
    inside = generator.random(rows) < 0.7
    losses = generator.exponential(5.0, (2, rows))
    return ranks_by_hand(
        [None] * rows,
        in_beam=inside,
        num_better=np.where(inside, generator.integers(0, spread, rows), 0),
        num_tied=np.where(inside, generator.integers(0, 4, rows), 0),
        target_popularity=generator.integers(0, 9, rows),
        history_length=generator.integers(1, 9, rows),
        transitions=generator.integers(0, 2, rows),
        nll=losses.max(axis=0),
        trie_nll=losses.min(axis=0),
    )


def plain(ranks: Ranks) -> dict[str, float | None]:
    """Every metric row by row."""
    found: dict[str, float | None] = {}
    for name in m.metric_names(CUTOFFS):
        values = m.row_values(ranks, name)
        found[name] = math.fsum(values) / len(values) if len(values) else None
    return found


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 400))
def test_metrics_are_the_plain_ones_to_the_last_digit(seed: int, rows: int) -> None:
    ranks = ranks_from(seed, rows)
    assert m.metrics(ranks, CUTOFFS, None) == plain(ranks)


def test_metrics_of_many_users_are_the_plain_ones_to_the_last_digit() -> None:
    ranks = ranks_from(3, 22_000)
    assert m.metrics(ranks, CUTOFFS, None) == plain(ranks)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 200))
def test_slices_are_the_plain_ones_to_the_last_digit(seed: int, rows: int) -> None:
    ranks = ranks_from(seed, rows)
    found = m.slices(ranks, CUTOFFS, None)
    for name, mask in m.slice_masks(ranks).items():
        own: dict[str, Any] = {key: found[name][key] for key in m.metric_names(CUTOFFS)}
        assert own == plain(ranks.where(mask))


@given(
    st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=30).flatmap(
        lambda values: st.tuples(
            st.just(values),
            st.lists(st.integers(0, 10**7), min_size=len(values), max_size=len(values)),
        )
    )
)
def test_sums_are_exact_and_rounded_once(pair: tuple[list[float], list[int]]) -> None:
    values, counts = pair
    exact = sum((Fraction(v) * c for v, c in zip(values, counts, strict=True)), Fraction(0))
    found = exact_sums(np.array([values]), np.array(counts, dtype=np.int64))
    assert found == [exact.numerator / exact.denominator]


def test_so_many_equal_rows_that_sums_would_round_are_refused() -> None:
    with pytest.raises(ValueError, match="exact below 67108864"):
        exact_sums(np.ones((1, 1)), np.array([MOST_ROWS]))


def test_rows_below_every_cutoff_count_in_the_number_of_rows_alone() -> None:
    ranks = ranks_from(1, 50, spread=2000)
    few = equal_rows(ranks, [("recall", 1)])
    assert few.total == 50
    assert few.rows.sum() == (ranks.in_beam & (ranks.num_better < 1)).sum()


def test_very_many_ties_are_told_apart_by_sorting_alike() -> None:
    counts = ranks_from(2, 300)
    tied = np.where(counts.in_beam, 10 ** (counts.num_better % 7), 0)
    ranks = replace(counts, num_tied=tied)
    assert m.metrics(ranks, CUTOFFS, None) == plain(ranks)
