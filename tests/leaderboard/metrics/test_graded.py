"""Graded metrics against hand-computed values, all orders of the ties, and ir-measures."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.perf.honest_records.by_hand import ranks_by_hand
from leaderboard.metrics import metrics as m
from leaderboard.metrics.graded import Groups, Relevance
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import RecordError

THREE = Relevance((1.0, 3.0))

MethodRow = tuple[str, int, tuple[int, int] | None]
"""Query, grade, and (num_better, num_tied) or None outside the beam."""


def ranks_of(rows: list[MethodRow], wordings: list[int] | None = None, **columns: Any) -> Ranks:
    return ranks_by_hand(
        [counts for _, _, counts in rows],
        user=[query for query, _, _ in rows],
        wording=wordings or [0] * len(rows),
        item=[f"x{i}" for i in range(len(rows))],
        grade=[grade for _, grade, _ in rows],
        **columns,
    )


def test_hand_computed_without_ties() -> None:
    # Query a: good at positions 1 and 4, maybe at 2, a third good one not found.
    # Query b: good at position 3.
    rows: list[MethodRow] = [
        ("a", 2, (0, 0)),
        ("a", 2, (3, 0)),
        ("a", 1, (1, 0)),
        ("a", 2, None),
        ("b", 2, (2, 0)),
    ]
    found = m.metrics(ranks_of(rows), (2, 4), None, THREE)
    d = [1 / math.log2(p + 1) for p in range(1, 6)]
    ideal = 3 * d[0] + 3 * d[1] + 3 * d[2] + d[3]
    expected = {
        "recall@2": (1 / 3 + 0) / 2,
        "recall@4": (2 / 3 + 1) / 2,
        "precision_good@2": (1 / 2 + 0) / 2,
        "precision_good@4": (2 / 4 + 1 / 4) / 2,
        "precision_any@2": (2 / 2 + 0) / 2,
        "precision_any@4": (3 / 4 + 1 / 4) / 2,
        "mrr@2": (1 + 0) / 2,
        "mrr@4": (1 + 1 / 3) / 2,
        "ndcg@2": ((3 * d[0] + d[1]) / (3 * d[0] + 3 * d[1]) + 0) / 2,
        "ndcg@4": ((3 * d[0] + d[1] + 3 * d[3]) / ideal + d[2] / d[0]) / 2,
        "nll": None,
        "trie_nll": None,
    }
    assert found == pytest.approx(expected, abs=1e-15)


def test_the_loss_of_a_query_is_the_mean_over_its_good_items() -> None:
    rows: list[MethodRow] = [
        ("a", 2, (0, 0)),
        ("a", 1, (1, 0)),
        ("a", 2, None),
        ("b", 2, (2, 0)),
        ("b", 2, (4, 0)),
    ]
    losses = {"nll": [1.0, 99.0, 4.0, 6.0, 9.0], "trie_nll": [0.5, 99.0, 2.5, 3.0, 9.0]}
    ranks = ranks_of(rows, [0, 0, 0, 0, 1], **losses)
    found = m.metrics(ranks, (2,), 2, THREE)
    # Query a asks once, query b in two wordings, each with one good item.
    assert found["nll"] == pytest.approx((2.5 + 6 + 9) / 3)
    assert found["trie_nll"] == pytest.approx((1.5 + 3 + 9) / 3)
    names, values = m.per_user(ranks, "nll", THREE)
    assert (names.tolist(), values.tolist()) == (["a", "b"], [2.5, 7.5])

    (sliced,) = m.slices(
        ranks_of(rows[:3], nll=[1, 2, 4], trie_nll=[1, 2, 3]), (2,), 2, THREE
    ).values()
    assert (sliced["nll"], sliced["trie_nll"]) == (2.5, 2.0)


def test_peer_auc_is_the_share_of_peers_below_and_of_queries_that_have_peers() -> None:
    rows: list[MethodRow] = [("cold/1", 2, (0, 0)), ("cold/1", 1, (1, 0)), ("warm/1", 2, (0, 0))]
    rows += [("new/1", 2, (3, 0)), ("new/1", 2, None)]
    peers = {
        "peers": [4, 4, 0, 10, 10],
        "peers_better": [1, 4, 0, 0, 7],
        "peers_tied": [1, 0, 0, 0, 2],
    }
    ranks = ranks_of(rows, **peers)
    kinds = Relevance((1.0, 3.0), peers=True)
    cold, new = 1 - 1.5 / 4, (1 + (1 - 8 / 10)) / 2  # a maybe item does not count
    assert m.metrics(ranks, (2,), None, kinds)["peer_auc"] == pytest.approx((cold + new) / 2)
    by_slice = m.slices(ranks, (2,), None, kinds)
    assert by_slice["queries:cold"]["peer_auc"] == pytest.approx(cold)
    assert by_slice["queries:new"]["peer_auc"] == pytest.approx(new)
    assert "peer_auc" not in by_slice["queries:warm"]
    names, values = m.per_user(ranks, "peer_auc", kinds)
    assert names.tolist() == ["cold/1", "new/1", "warm/1"]
    assert values.tolist() == pytest.approx([cold, new, math.nan], nan_ok=True)
    assert "peer_auc" not in m.metrics(ranks_of(rows), (2,), None, kinds)
    assert "peer_auc" in m.metric_names((2,), kinds)
    assert "peer_auc" not in m.metric_names((2,), THREE)


def test_hand_computed_with_ties() -> None:
    # One better; two good ones and another item equal: positions 2, 3, 4. The first good one is
    # at 2 with chance 2/3, else at 3.
    rows: list[MethodRow] = [("a", 2, (1, 2)), ("a", 2, (1, 2))]
    found = m.metrics(ranks_of(rows), (2, 4), None, THREE)
    assert found["mrr@4"] == pytest.approx(2 / 3 / 2 + 1 / 3 / 3, abs=1e-15)
    assert found["mrr@2"] == pytest.approx(2 / 3 / 2, abs=1e-15)
    assert found["precision_good@2"] == pytest.approx(1 / 3, abs=1e-15)
    assert found["recall@4"] == pytest.approx(1, abs=1e-15)


@st.composite
def rankings(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """Blocks of equals, best first; each item is (number, grade), grade 0 for the irrelevant."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    grades = draw(st.lists(st.integers(0, 2), min_size=sum(sizes), max_size=sum(sizes)))
    items = iter(enumerate(grades))
    return [[next(items) for _ in range(size)] for size in sizes]


def brute_force(
    blocks: list[list[tuple[int, int]]], hidden: list[int], cutoff: int
) -> dict[str, float]:
    """Means over all orders of the equals; `hidden` are grades of relevant items not ranked."""
    gain = {0: 0.0, 1: 1.0, 2: 3.0}
    grades = [grade for block in blocks for _, grade in block] + hidden
    ideal = sorted((gain[grade] for grade in grades), reverse=True)[:cutoff]
    norm = sum(g / math.log2(p + 2) for p, g in enumerate(ideal))
    good = sum(grade == 2 for grade in grades)
    totals: dict[str, list[float]] = {}
    for orders in itertools.product(*(itertools.permutations(block) for block in blocks)):
        top = [grade for block in orders for _, grade in block][:cutoff]
        values = {
            "recall": sum(grade == 2 for grade in top) / good,
            "ndcg": sum(gain[g] / math.log2(p + 2) for p, g in enumerate(top)) / norm,
            "mrr": next((1 / (p + 1) for p, g in enumerate(top) if g == 2), 0.0),
            "precision_good": sum(grade == 2 for grade in top) / cutoff,
            "precision_any": sum(grade >= 1 for grade in top) / cutoff,
        }
        for name, value in values.items():
            totals.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in totals.items()}


@settings(deadline=None, max_examples=150)
@given(rankings(), st.lists(st.integers(1, 2), max_size=3), st.integers(1, 6))
def test_expectation_equals_the_mean_over_all_orders_of_the_ties(
    blocks: list[list[tuple[int, int]]], hidden: list[int], cutoff: int
) -> None:
    rows: list[MethodRow] = [("a", grade, None) for grade in hidden]
    better = 0
    for block in blocks:
        rows += [("a", grade, (better, len(block) - 1)) for _, grade in block if grade]
        better += len(block)
    if not any(grade == 2 for _, grade, _ in rows):
        rows.append(("a", 2, None))
        hidden = [*hidden, 2]
    groups = Groups(ranks_of(rows), THREE)
    for family, value in brute_force(blocks, hidden, cutoff).items():
        assert groups.values(family, cutoff)[0] == pytest.approx(value, abs=1e-12)


def test_agrees_with_ir_measures_where_nothing_is_tied() -> None:
    ir = pytest.importorskip("ir_measures")
    generator = np.random.default_rng(0)
    rows: list[MethodRow] = []
    relevant, run = [], []
    for number in range(40):
        query = f"q{number:02d}"
        grades = generator.choice([0, 0, 0, 0, 1, 2], size=30)
        grades[generator.integers(30)] = 2
        for position, grade in enumerate(grades.tolist()):
            ranked = position < 20
            if grade:
                rows.append((query, grade, (position, 0) if ranked else None))
                # Linear gain in ir-measures: the qrels hold the gains themselves.
                relevant.append(ir.Qrel(query, f"d{position}", {1: 1, 2: 3}[grade]))
            if ranked:
                run.append(ir.ScoredDoc(query, f"d{position}", -float(position)))
    ours = m.metrics(ranks_of(rows), (1, 5, 10), None, THREE)
    for cutoff in (1, 5, 10):
        measures = {
            "recall": ir.R(rel=3) @ cutoff,
            "ndcg": ir.nDCG @ cutoff,
            "mrr": ir.RR(rel=3) @ cutoff,
            "precision_good": ir.P(rel=3) @ cutoff,
            "precision_any": ir.P(rel=1) @ cutoff,
        }
        theirs = ir.calc_aggregate(list(measures.values()), relevant, run)
        for family, measure in measures.items():
            assert ours[f"{family}@{cutoff}"] == pytest.approx(theirs[measure], abs=1e-9)


def test_a_perfect_ranking_has_ndcg_one_to_the_last_digit() -> None:
    rows: list[MethodRow] = [("a", 2, (p, 0)) for p in range(7)]
    rows += [("a", 1, (p, 0)) for p in range(7, 23)]
    found = m.metrics(ranks_of(rows), (1, 5, 10, 50), None, THREE)
    assert [found[f"ndcg@{k}"] for k in (1, 5, 10, 50)] == [1.0] * 4


def test_one_good_item_alone_scores_as_on_the_next_item_track() -> None:
    counts: list[tuple[int, int] | None] = [(0, 0), (3, 2), (11, 1), None, (4, 7)]
    graded = ranks_of([(f"q{i}", 2, count) for i, count in enumerate(counts)])
    plain = ranks_of([(f"q{i}", 1, count) for i, count in enumerate(counts)])
    found, known = m.metrics(graded, (1, 5, 10), None, THREE), m.metrics(plain, (1, 5, 10), None)
    for name, value in known.items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-15))
    raw = m.raw_recall(graded, (1, 5), None, THREE)
    assert raw == m.raw_recall(plain, (1, 5), None)


def test_wordings_are_groups_of_their_own_and_queries_their_means() -> None:
    rows: list[MethodRow] = [("a", 2, (0, 0)), ("b", 2, None), ("b", 2, (1, 0))]
    ranks = ranks_of(rows, wordings=[0, 1, 0])
    assert m.metrics(ranks, (1, 2), None, THREE)["recall@2"] == 2 / 3
    names, values = m.per_user(ranks, "recall@2", THREE)
    assert names.tolist() == ["a", "b"]
    assert values.tolist() == [1.0, 0.5]


def test_slices_are_by_kind_of_query() -> None:
    rows: list[MethodRow] = [
        ("item/7/5", 2, (0, 0)),
        ("item/7/5", 1, None),
        ("category/war 1995", 2, None),
    ]
    found = m.slices(ranks_of(rows), (1,), None, THREE)
    assert {n: (s["rows"], s["from"], s["to"], s["recall@1"]) for n, s in found.items()} == {
        "queries:category": (1, 1, 1, 0),
        "queries:item": (2, 2, 2, 1),
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", 3, (0, 0))], "grade 3; this setting has grades 1 to 2"),
        ([("a", 1, (0, 0))], "query a has no good item"),
        ([("a", 2, (0, 0)), ("a", 2, (0, 1))], "num_tied differs"),
        ([("a", 2, (0, 0)), ("a", 1, (0, 0))], "2 rows of query a are equal"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        m.metrics(ranks_of(rows), (1,), None, THREE)


def test_a_cutoff_beyond_the_beam_is_null() -> None:
    found = m.metrics(ranks_of([("a", 2, (0, 0))]), (1, 5), 2, THREE)
    assert found["precision_good@1"] == 1.0
    assert found["precision_good@5"] is None


def test_the_next_item_track_has_no_precision() -> None:
    assert not any(name.startswith("precision") for name in m.metric_names((10,)))
    assert "precision_good@10" in m.metric_names((10,), THREE)
