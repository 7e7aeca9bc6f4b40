"""Metrics against hand-computed values, all orders of the ties, and ir-measures."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.perf.honest_records.by_hand import ranks_by_hand
from leaderboard.metrics import metrics as m
from leaderboard.records.record import RecordError

COUNTS = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 60), st.integers(0, 8))), min_size=1, max_size=20
)


def test_hand_computed_without_ties() -> None:
    ranks = ranks_by_hand([(0, 0), (2, 0), (9, 0), (10, 0), None])
    found = m.metrics(ranks, (1, 5, 10), beam=None)
    assert found["recall@1"] == 1 / 5
    assert found["recall@5"] == 2 / 5
    assert found["recall@10"] == 3 / 5
    assert found["ndcg@5"] == pytest.approx((1 + 1 / 2) / 5, abs=1e-15)
    assert found["ndcg@10"] == pytest.approx((1 + 1 / 2 + 1 / math.log2(11)) / 5, abs=1e-15)
    assert found["mrr@10"] == pytest.approx((1 + 1 / 3 + 1 / 10) / 5, abs=1e-15)


def test_hand_computed_with_ties() -> None:
    # One above, two others tied: positions 2, 3, 4 with probability 1/3 each.
    found = m.metrics(ranks_by_hand([(1, 2)]), (1, 3, 10), beam=None)
    assert found["recall@1"] == 0
    assert found["recall@3"] == pytest.approx(2 / 3, abs=1e-15)
    assert found["ndcg@3"] == pytest.approx((1 / math.log2(3) + 1 / 2) / 3, abs=1e-15)
    assert found["mrr@10"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3, abs=1e-15)


@pytest.mark.parametrize(("better", "tied"), [(0, 3), (2, 2), (3, 1), (1, 4), (6, 2)])
@pytest.mark.parametrize("cutoff", [1, 3, 5])
def test_expectation_equals_the_mean_over_all_orders_of_the_ties(
    better: int, tied: int, cutoff: int
) -> None:
    recalls, gains, reciprocals = [], [], []
    for order in itertools.permutations(["target", *range(tied)]):
        position = better + order.index("target") + 1
        inside = position <= cutoff
        recalls.append(float(inside))
        gains.append(inside / math.log2(position + 1))
        reciprocals.append(inside / position)
    ranks = ranks_by_hand([(better, tied)])
    for family, brute in (("recall", recalls), ("ndcg", gains), ("mrr", reciprocals)):
        value = m.row_values(ranks, f"{family}@{cutoff}")[0]
        assert value == pytest.approx(sum(brute) / len(brute), abs=1e-14)


def test_agrees_with_ir_measures_where_nothing_is_tied() -> None:
    ir_measures = pytest.importorskip("ir_measures")
    generator = np.random.default_rng(0)
    positions = generator.integers(0, 40, size=50)
    queries = [f"q{i}" for i in range(50)]
    relevant = [ir_measures.Qrel(query, "target", 1) for query in queries]
    run = []
    for query, position in zip(queries, positions, strict=True):
        names = [f"d{i}" for i in range(40)]
        names.insert(int(position), "target")
        run += [ir_measures.ScoredDoc(query, name, -float(i)) for i, name in enumerate(names)]
    ours = m.metrics(ranks_by_hand([(int(p), 0) for p in positions], user=queries), (1, 10), None)
    for cutoff in (1, 10):
        measures = {
            "recall": ir_measures.R @ cutoff,
            "ndcg": ir_measures.nDCG @ cutoff,
            "mrr": ir_measures.RR @ cutoff,
        }
        theirs = ir_measures.calc_aggregate(list(measures.values()), relevant, run)
        for family, measure in measures.items():
            assert ours[f"{family}@{cutoff}"] == pytest.approx(theirs[measure], abs=1e-9)


@given(COUNTS)
def test_metrics_are_bounded_ordered_and_grow_with_the_cutoff(
    counts: list[tuple[int, int] | None],
) -> None:
    ranks = ranks_by_hand(counts)
    found = m.metrics(ranks, (1, 5, 10, 50), beam=None)
    for family in m.FAMILIES:
        values = [found[f"{family}@{k}"] for k in (1, 5, 10, 50)]
        assert all(v is not None and 0 <= v <= 1 for v in values)
        assert all(a <= b + 1e-12 for a, b in itertools.pairwise(values))
    for k in (1, 5, 10, 50):
        recall, ndcg, mrr = (found[f"{family}@{k}"] for family in m.FAMILIES)
        assert recall + 1e-12 >= ndcg >= mrr - 1e-12
        assert m.raw_recall(ranks, (k,), None)[f"recall_raw@{k}"] + 1e-12 >= recall


@given(COUNTS, st.randoms())
def test_the_order_of_rows_does_not_matter(counts: list[tuple[int, int] | None], random) -> None:
    shuffled = counts.copy()
    random.shuffle(shuffled)
    before = m.metrics(ranks_by_hand(counts), (5, 10), beam=None)
    assert before == m.metrics(ranks_by_hand(shuffled), (5, 10), beam=None)


def test_discounts_are_the_correctly_rounded_ones() -> None:
    # 1 / log2(3) = log_3(2) = 0.63092975357145743709952711434…
    discount = m.row_values(ranks_by_hand([(1, 0)]), "ndcg@2")[0]
    assert discount == 0.6309297535714574371
    assert m.row_values(ranks_by_hand([(6, 0)]), "ndcg@10")[0] == 1 / 3
    assert m.row_values(ranks_by_hand([(62, 0)]), "ndcg@100")[0] == 1 / 6


def test_a_cutoff_beyond_the_beam_is_null() -> None:
    found = m.metrics(ranks_by_hand([(0, 0), None]), (10, 20), beam=10)
    assert found["recall@10"] == 0.5
    assert found["recall@20"] is None
    assert found["ndcg@20"] is None
    assert m.raw_recall(ranks_by_hand([(0, 0)]), (10, 20), 10) == {
        "recall_raw@10": 1.0,
        "recall_raw@20": None,
    }


def test_no_rows_have_no_metrics() -> None:
    assert set(m.metrics(ranks_by_hand([]), (1, 10), None).values()) == {None}


def test_raw_recall_takes_a_collision_for_a_hit() -> None:
    ranks = ranks_by_hand([(0, 3), (4, 0)])
    assert m.raw_recall(ranks, (1, 5), None) == {"recall_raw@1": 0.5, "recall_raw@5": 1.0}
    assert m.metrics(ranks, (1,), None)["recall@1"] == pytest.approx(1 / 8)


def test_per_user_averages_the_wordings_of_each_user() -> None:
    ranks = ranks_by_hand(
        [(0, 0), None, (0, 1), (3, 0)], user=["b", "b", "a", "c"], wording=[0, 1, 0, 0]
    )
    users, values = m.per_user(ranks, "recall@1")
    assert users.tolist() == ["a", "b", "c"]
    assert values.tolist() == [0.5, 0.5, 0.0]
    assert m.num_users(ranks) == 3


def test_slices_are_terciles_of_the_rows_and_cover_each_row_once() -> None:
    counts: list[tuple[int, int] | None] = [None, None, (0, 0), None, None, (0, 0), (0, 0)]
    ranks = ranks_by_hand(
        counts,
        target_popularity=[0, 1, 2, 3, 4, 5, 6],
        history_length=[9] * 7,
        transitions=[0, 0, 1, 3, 0, 0, 0],
    )
    found = m.slices(ranks, (1,), None)
    shape = {name: (s["rows"], s["from"], s["to"], s["recall@1"]) for name, s in found.items()}
    assert shape == {
        "popularity:unseen": (1, 0, 0, 0),
        "popularity:tail": (2, 1, 2, 0.5),
        "popularity:middle": (2, 3, 4, 0),
        "popularity:head": (2, 5, 6, 1),
        "history:short": (7, 9, 9, 3 / 7),
        "history:medium": (0, None, None, None),
        "history:long": (0, None, None, None),
        "transition:seen": (2, 1, 3, 1 / 2),
        "transition:unseen": (5, 0, 0, 2 / 5),
    }


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=30))
def test_slices_partition_the_rows(pairs: list[tuple[int, int]]) -> None:
    popularity, history = zip(*pairs, strict=True)
    counts = [(0, 0)] * len(pairs)
    ranks = ranks_by_hand(counts, target_popularity=popularity, history_length=history)
    found = m.slices(ranks, (1,), None)
    for prefix in ("popularity", "history", "transition"):
        rows = [s["rows"] for name, s in found.items() if name.startswith(prefix)]
        assert sum(r for r in rows if r is not None) == len(pairs)


def test_losses_are_means_over_rows_and_over_the_wordings_of_each_user() -> None:
    ranks = ranks_by_hand(
        [(0, 0), None, (2, 0)],
        user=["b", "b", "a"],
        wording=[0, 1, 0],
        transitions=[0, 0, 1],
        nll=[0.25, 6.5, 3.0],
        trie_nll=[0.125, 6.5, 2.0],
    )
    found = m.metrics(ranks, (1,), beam=1)
    assert (found["nll"], found["trie_nll"]) == (9.75 / 3, 8.625 / 3)
    users, values = m.per_user(ranks, "nll")
    assert (users.tolist(), values.tolist()) == (["a", "b"], [3.0, 3.375])
    assert m.per_user(ranks, "trie_nll")[1].tolist() == [2.0, 3.3125]
    sliced = m.slices(ranks, (1,), 1)
    assert sliced["transition:seen"]["nll"] == 3.0
    assert sliced["transition:unseen"]["trie_nll"] == 3.3125
    assert sliced["popularity:unseen"]["nll"] is None


def test_where_no_loss_was_measured_there_is_none() -> None:
    ranks = ranks_by_hand([(0, 0), (1, 0)])
    found = m.metrics(ranks, (1,), beam=None)
    assert (found["nll"], found["trie_nll"], found["recall@1"]) == (None, None, 0.5)
    assert m.slices(ranks, (1,), None)["history:short"]["nll"] is None
    assert not m.is_defined("nll", None)
    assert m.is_defined("trie_nll", 1)


def test_losses_are_metrics_without_a_cutoff() -> None:
    assert m.parse_metric("trie_nll") == ("trie_nll", 0)
    assert m.metric_names((10,))[:2] == ["nll", "trie_nll"]
    assert [name for name in m.metric_names((1, 10)) if m.is_loss(name)] == ["nll", "trie_nll"]
    with pytest.raises(ValueError, match="metrics are nll, trie_nll, peer_auc, and recall, "):
        m.parse_metric("nll@10")


@pytest.mark.parametrize("name", ["ndcg", "ndcg@", "ndcg@0", "hit@10", "ndcg@ten", "ndcg@-1"])
def test_an_unknown_metric_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown metric"):
        m.parse_metric(name)


def test_a_grade_this_protocol_does_not_score_is_refused() -> None:
    with pytest.raises(RecordError, match="row 0: grade 2"):
        m.metrics(ranks_by_hand([(0, 0)], grade=[2]), (1,), None)
