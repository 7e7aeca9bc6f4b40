"""Exactly the same, or as one more seed would be."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.perf.honest_records.edits import edit, give_ranks
from leaderboard.records.ranks import SCHEMA, read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.statistics.agreement import (
    Agreement,
    band_of,
    compare,
    outcome_of,
    ranks_sha256,
    same_rows,
    spread_of,
)

EXACT = Agreement((), (), 10, 10)
INEXACT = Agreement(("ranks", "metrics.test.ndcg@10"), (), 10, 8)


def agreement(one, other):
    return compare(
        read_record(one), read_record(other), *(read_ranks(ranks_path(p)) for p in (one, other))
    )


@pytest.fixture
def twins(factory, tmp_path):
    """One cell, run twice."""
    return factory.write("gti", 0), factory.write("gti", 0, root=tmp_path / "again")


def test_a_cell_run_twice_agrees_whatever_time_and_place(twins):
    def change(content):
        content["cost"]["sft"]["seconds"] += 5
        content["environment"]["machine"] = "another"
        content["code"]["commit"] = "fff0000" + 33 * "0"
        content["warnings"] = ["new"]

    found = agreement(twins[0], edit(twins[1], change))
    assert found.exact
    assert (found.beside, found.num_rows, found.same_rows) == ((), 120, 120)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: c["metrics"]["test"].update({"ndcg@10": 0.5}), "metrics.test.ndcg@10"),
        (lambda c: c["slices"]["history:long"].update({"mrr@1": 0.5}), "slices.history:long.mrr@1"),
        (
            lambda c: c["manifest"].update(new_rows_sha256_after="0" * 64),
            "manifest.new_rows_sha256_after",
        ),
        (lambda c: c["proofs"][0].update(new_rows_sha256="0" * 64), "proofs.0.new_rows_sha256"),
        (lambda c: c["proofs"].pop(), "proofs"),
        (
            lambda c: c["learning_curve"][0]["metrics"].update({"ndcg@10": 0.9}),
            "learning_curve.0.metrics.ndcg@10",
        ),
        (lambda c: c["inputs"].update(backbone="0" * 64), "inputs.backbone"),
    ],
)
def test_one_figure_that_differs_ends_exactness_and_is_named(twins, change, field):
    found = agreement(twins[0], edit(twins[1], change))
    assert found.differing == (field,)


def test_what_is_told_of_training_and_the_model_does_not_decide(twins):
    def change(content):
        content["diagnostics"]["sft"]["effective_rank"] += 1e-12
        content["cost"]["sft"]["last_loss"] = 1.25
        content["retention"]["after"] += 1e-9
        content["treatment"]["pairs"][1]["permuted"] += 1e-9

    found = agreement(twins[0], edit(twins[1], change))
    assert found.exact
    assert found.beside == (
        "cost.sft.last_loss",
        "diagnostics.sft.effective_rank",
        "retention.after",
        "treatment.pairs.1.permuted",
    )


def test_a_row_whose_nll_differs_in_the_last_digit_is_another_row(twins):
    path = twins[1]
    ranks = read_ranks(ranks_path(path))
    ranks.nll[5] = np.nextafter(ranks.nll[5], 99)
    give_ranks(path, ranks)
    found = agreement(*twins)
    assert (found.same_rows, found.num_rows) == (119, 120)
    assert "ranks" in found.differing


def test_rows_of_a_reference_without_nll_are_the_same_rows(factory, tmp_path):
    first = factory.write("popularity")
    second = factory.write("popularity", root=tmp_path / "again")
    assert agreement(first, second).exact
    ranks = read_ranks(ranks_path(first))
    other_nan = replace(ranks, nll=-ranks.nll, trie_nll=-ranks.trie_nll)
    assert ranks_sha256(other_nan) == ranks_sha256(ranks)


def test_rows_of_ranks_are_counted_one_by_one(factory, tmp_path):
    first, second = factory.write("gti", 0), factory.write("gti", 0, root=tmp_path / "b")
    one, other = (read_ranks(ranks_path(path)) for path in (first, second))
    other.num_tied[:30:2] += other.in_beam[:30:2]
    other.trie_nll[20:60:3] /= 2
    give_ranks(second, other)
    expected = sum(
        all(getattr(one, name)[row] == getattr(other, name)[row] for name in SCHEMA.names)
        for row in range(len(one))
    )
    assert 0 < expected < len(one)
    assert same_rows(one, other) == expected
    assert same_rows(one, other.of_split("test")) == 0
    assert agreement(first, second).differing[0] == "ranks"


def test_the_content_hash_of_ranks_sees_every_column(factory):
    without = read_ranks(ranks_path(factory.write("gti", 0)))
    ranks = replace(without, peers=np.full(len(without), 200))
    found = {ranks_sha256(ranks)}
    assert ranks_sha256(without) not in found
    for name in ranks.__dataclass_fields__:
        values = getattr(ranks, name).copy()
        place = int(np.flatnonzero(ranks.in_beam)[0])
        values[place] = {"U": "x", "b": False}.get(values.dtype.kind, 99)
        if name == "split":
            values[place] = "validation"
        changed = {name: values}
        if name == "in_beam":
            counts = ("num_better", "num_tied")
            changed |= {n: np.where(values, getattr(ranks, n), 0) for n in counts}
        found.add(ranks_sha256(replace(ranks, **changed)))
    assert len(found) == 1 + len(ranks.__dataclass_fields__)


def test_the_band_is_the_prediction_interval_of_the_seeds_means():
    values = np.random.default_rng(3).normal(0.3, 0.4, size=(4, 500)) + np.array(
        [[0.0], [0.1], [0.05], [0.2]]
    )
    means = values.mean(axis=1)
    band = band_of(values)
    assert band.center == pytest.approx(means.mean())
    expected = stats.t.ppf(0.9875, 3) * means.std(ddof=1) * np.sqrt(5 / 4)
    assert band.half_width == pytest.approx(expected)


def judged(recorded, seed, again):
    """The verdict on run `again` [U] of `seed`, by `recorded` [S, U]."""
    spread = spread_of(recorded, list(range(len(recorded))), seed, again)
    return outcome_of(
        INEXACT, float(recorded[seed].mean()), float(again.mean()), spread, excused=True
    )


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_honest_runs_are_refused_five_times_in_a_hundred(seeds):
    draw = np.random.default_rng(seeds)
    refused = 0
    for _ in range(1500):
        ease = draw.normal(size=(1, 30))
        runs = ease + draw.normal(0, 0.2, (seeds + 1, 1)) + draw.normal(0, 0.5, (seeds + 1, 30))
        refused += judged(runs[:-1], 0, runs[-1]) == "different"
    assert 0.03 < refused / 1500 < 0.07


def test_a_made_up_record_is_refused_although_it_widens_the_seeds_spread():
    draw = np.random.default_rng(0)
    runs = draw.normal(0.05, 0.2, size=(4, 900))
    recorded = runs[:3].copy()
    recorded[1] += 0.5
    assert judged(recorded, 1, runs[3]) == "different"
    assert judged(runs[:3], 1, runs[3]) == "equivalent"
    assert judged(runs[:3], 1, runs[3] + 0.5) == "different"


def test_without_excuse_only_the_same_bits_will_do():
    spread = spread_of(np.ones((3, 2)), [0, 1, 2], 0, np.ones(2))
    assert outcome_of(EXACT, 1.0, 1.0, None, excused=False) == "exact"
    assert outcome_of(INEXACT, 1.0, 1.0, spread, excused=False) == "different"
    assert outcome_of(INEXACT, 1.0, 1.0, spread, excused=True) == "equivalent"
    other_data = Agreement(("inputs.dataset",), (), 10, 10)
    assert outcome_of(other_data, 1.0, 1.0, spread, excused=True) == "different"


def test_fewer_than_three_seeds_give_no_verdict():
    assert spread_of(np.ones((2, 5)), [0, 1], 0, np.ones(5)) is None
    assert outcome_of(INEXACT, 1.0, 1.0, None, excused=True) == "undecided"
