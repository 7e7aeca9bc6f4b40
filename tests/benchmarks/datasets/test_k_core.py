"""Tests of the k-core against a slow reference that drops one user or item at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets.k_core import k_core

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=60)


def slowly(pairs: list[tuple[int, int]], k: int) -> tuple[set[int], set[int]]:
    users, items = set(range(8)), set(range(8))
    while True:
        inside = [(u, i) for u, i in pairs if u in users and i in items]
        poor_users = [u for u in sorted(users) if sum(u == other for other, _ in inside) < k]
        poor_items = [i for i in sorted(items) if sum(i == other for _, other in inside) < k]
        if poor_users:
            users.remove(poor_users[0])
        elif poor_items:
            items.remove(poor_items[0])
        else:
            return users, items


@given(PAIRS, st.integers(0, 4))
def test_is_what_dropping_one_by_one_leaves(pairs: list[tuple[int, int]], k: int) -> None:
    users = np.array([u for u, _ in pairs], dtype=np.int64)
    items = np.array([i for _, i in pairs], dtype=np.int64)
    user_stays, item_stays = k_core(users, items, 8, 8, k)
    expected = slowly(pairs, k)
    assert set(np.flatnonzero(user_stays).tolist()) == expected[0]
    assert set(np.flatnonzero(item_stays).tolist()) == expected[1]


def test_a_chain_falls_to_its_end() -> None:
    # Each user shares one item with the next: no one is left in the 2-core but the pair 3, 4.
    users = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    items = np.array([0, 1, 1, 2, 2, 3, 3, 4, 3, 4])
    user_stays, item_stays = k_core(users, items, 5, 6, 2)
    assert user_stays.tolist() == [False, False, False, True, True]
    assert item_stays.tolist() == [False, False, False, True, True, False]


def test_repeats_count_and_a_negative_k_is_refused() -> None:
    ones = np.zeros(3, dtype=np.int64)
    assert k_core(ones, ones, 1, 2, 3)[1].tolist() == [True, False]
    with pytest.raises(ValueError, match="found -1"):
        k_core(ones, ones, 1, 1, -1)
