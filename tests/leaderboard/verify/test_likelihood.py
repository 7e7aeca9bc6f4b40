"""NLLs that no model with these ranks has are found; those of every model that is drawn are not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.by_hand import ranks_by_hand
from benchmarks.perf.honest_records.edits import Content, edit, give_ranks
from benchmarks.perf.honest_records.settings import QUERIES, USUAL, setting_of
from leaderboard.metrics.metrics import metrics
from leaderboard.records.ranks import Ranks, read_ranks
from leaderboard.records.record import Record, ranks_path, read_record
from leaderboard.records.semantic_ids import SemanticIdsFile
from leaderboard.verify.findings import Finding, Report
from leaderboard.verify.likelihood import Catalogue, catalogue_of, check_losses
from leaderboard.verify.verify import verify

BEAM = 4
LEVELS = 3
CODES = 3
VOCABULARY = CODES * LEVELS + 5


def fields(path: Path) -> set[str]:
    return {finding.field for finding in verify(path)}


def changed(path: Path, **columns: Any) -> Path:
    return give_ranks(path, replace(read_ranks(ranks_path(path)), **columns))


class Model:
    """Draws of a next-token distribution behind every prefix of a catalogue's Semantic IDs.

    `sharpness` 0 makes all tokens as likely.
    """

    def __init__(self, seed: int, items: int, sharpness: float) -> None:
        self.draw = np.random.default_rng(seed)
        self.codes = self.draw.integers(0, CODES, size=(items, LEVELS))
        self.sharpness = sharpness

    def asked_once(self) -> dict[str, Any]:
        """The row of one target: beam search by plain loops, and its NLLs."""
        known: dict[tuple[int, ...], np.ndarray] = {}

        def log_probabilities(prefix: tuple[int, ...]) -> np.ndarray:
            if prefix not in known:
                logits = self.sharpness * self.draw.normal(size=VOCABULARY)
                known[prefix] = logits - np.log(np.exp(logits).sum())
            return known[prefix]

        items = [tuple(item) for item in self.codes.tolist()]
        beams: dict[tuple[int, ...], float] = {(): 0.0}
        for level in range(LEVELS):
            longer = {
                (*prefix, code): score + log_probabilities(prefix)[CODES * level + code]
                for prefix, score in beams.items()
                for code in {item[level] for item in items if item[:level] == prefix}
            }
            beams = dict(sorted(longer.items(), key=lambda each: -each[1])[:BEAM])
        target = items[int(self.draw.integers(len(items)))]
        nll = over_trie = 0.0
        for level, code in enumerate(target):
            own = log_probabilities(target[:level])
            there = {item[level] for item in items if item[:level] == target[:level]}
            allowed = [own[CODES * level + each] for each in there]
            nll -= own[CODES * level + code]
            over_trie += np.log(np.exp(allowed).sum()) - own[CODES * level + code]
        score = beams.get(target)
        ranked = [beams[item] for item in items if item in beams]
        better = 0 if score is None else sum(each > score + 1e-9 for each in ranked)
        tied = 0 if score is None else sum(abs(each - score) <= 1e-9 for each in ranked) - 1
        return {
            "in_beam": score is not None,
            "num_better": better,
            "num_tied": tied,
            "nll": nll,
            "trie_nll": over_trie,
        }


def judged(record: Record, model: Model, rows: list[dict[str, Any]]) -> list[Finding]:
    """What is found in the `rows` of `model`."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    sids = SemanticIdsFile(model.codes, CODES, None, "0" * 64)
    findings: list[Finding] = []
    ranks = ranks_by_hand([None] * len(rows), **columns)
    check_losses(Report("x", findings), record, ranks, catalogue_of(record, sids))
    return findings


@pytest.fixture
def narrow(factory: Any) -> Record:
    """A record whose beam is `BEAM`, and which says that much of its mass is off the trie."""
    record = read_record(factory.write("mean", setting=setting_of(decoding={"beam": BEAM})))
    accounting = record.accounting.model_copy(update={"trie_mass": (0.2,) * LEVELS})
    return record.model_copy(update={"accounting": accounting})


@pytest.mark.parametrize("sharpness", [0.0, 0.3, 2.0, 6.0])
@pytest.mark.parametrize("items", [3, 9, 40])  # of 27 Semantic IDs: 40 share them
def test_no_model_breaks_the_bounds_however_its_items_share_codes(
    narrow: Record, items: int, sharpness: float
) -> None:
    model = Model(items, items, sharpness)
    rows = [model.asked_once() for _ in range(150)]
    assert judged(narrow, model, rows) == []
    if items == 40:
        assert {row["in_beam"] for row in rows} == {True, False}


def test_the_bounds_leave_next_to_nothing_where_a_model_knows_nothing(narrow: Record) -> None:
    """Three Semantic IDs that alone are likely, and equally so: the NLL is ln 3, and no lower."""
    model = Model(0, 3, 0.0)
    model.codes = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    row = {"in_beam": True, "num_better": 0, "num_tied": 2}
    low = float(np.log(3))

    def found(nll: float, over_trie: float) -> list[str]:
        rows = [{**row, "nll": nll, "trie_nll": over_trie}]
        return [each.field for each in judged(narrow, model, rows)]

    assert found(low, low) == found(9.0, 0.001) == []
    assert found(low - 0.01, low - 0.01) == [
        "files.ranks (row 0, nll)",
        "files.ranks (row 0, trie_nll)",
    ]
    # Both others have a third: no normalising takes more than that from them.
    assert found(low, low - 0.01) == ["files.ranks (row 0, trie_nll)"]
    assert found(low, low + 0.01) == ["files.ranks (row 0, trie_nll)"]


def test_without_the_semantic_ids_items_may_share_as_many_as_the_accounting_says() -> None:
    record = Record.model_construct(
        accounting=type("Accounting", (), {"num_items": 10, "distinct_sids": 4})
    )
    known = catalogue_of(record, None)
    assert known is not None
    assert np.exp(known.least_nll([1, 7, 8, 9, 10, 11])).round(6).tolist() == [1, 1, 2, 3, 4, 4]
    sids = SemanticIdsFile(np.array([[0, 0]] * 5 + [[0, 1]] * 3 + [[1, 1], [2, 0]]), 3, None, "")
    exact = catalogue_of(record, sids)
    assert isinstance(exact, Catalogue)
    assert np.exp(exact.least_nll([1, 5, 6, 8, 9, 10])).round(6).tolist() == [1, 1, 2, 2, 3, 4]
    assert exact.even is not None
    # First level 3 codes; behind them 2, 1 and 1.
    assert np.exp(exact.even).round(6).tolist() == [3, 6]


def better_nll_with_a_worse_rank(ranks: Ranks) -> dict[str, Any]:
    """The lowest NLLs go to the targets that stand lowest: no value is new."""
    place = np.where(ranks.in_beam, ranks.num_better, 99)
    nll = np.empty(len(ranks))
    nll[np.argsort(-place, kind="stable")] = np.sort(ranks.nll)
    return {"nll": nll, "trie_nll": 0.9 * nll}


def far_from_the_top(ranks: Ranks) -> dict[str, Any]:
    """The same of a model so weak that every NLL is possible at every rank."""
    columns = better_nll_with_a_worse_rank(ranks)
    return {name: values + 9 for name, values in columns.items()}


@pytest.mark.parametrize("change", [better_nll_with_a_worse_rank, far_from_the_top])
def test_a_better_nll_with_a_worse_rank_everywhere_is_found(
    factory: Any, change: Callable[[Ranks], dict[str, Any]]
) -> None:
    path = factory.write("random", users=200)
    assert verify(path) == []
    changed(path, **change(read_ranks(ranks_path(path))))
    assert {"files.ranks (nll)", "files.ranks (trie_nll)"} <= fields(path)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (lambda ranks: {"nll": ranks.nll / 9, "trie_nll": ranks.trie_nll / 9}, "nll"),
        (lambda ranks: {"nll": np.full(len(ranks), 0.5), "trie_nll": 0.4 + 0 * ranks.nll}, "nll"),
        (lambda ranks: {"trie_nll": ranks.nll + 0.01}, "trie_nll"),
        (lambda ranks: {"nll": ranks.nll * 0.5}, "trie_nll"),
    ],
)
def test_nlls_that_are_better_than_ranks_allow_are_found(
    factory: Any, change: Callable[[Ranks], dict[str, Any]], column: str
) -> None:
    path = factory.write("gti", users=200)
    changed(path, **change(read_ranks(ranks_path(path))))
    found = [each for each in verify(path) if each.field.startswith("files.ranks (row")]
    assert any(each.field.endswith(f", {column})") for each in found)
    assert any("other rows" in each.found for each in found)


def test_far_more_mass_off_the_trie_than_stated_is_to_be_looked_at(factory: Any) -> None:
    path = factory.write("random", users=200)
    ranks = read_ranks(ranks_path(path))
    changed(path, nll=ranks.nll + 6)
    assert "files.ranks (trie_nll)" in {
        each.field for each in verify(path) if each.level == "warning"
    }


def test_targets_that_nobody_expects_may_lie_far_off_the_trie(factory: Any) -> None:
    """Of items that no query was trained on nearly all probability goes elsewhere."""
    path = factory.write("random", users=200)
    ranks = read_ranks(ranks_path(path))
    below = ~ranks.in_beam & (np.asarray(ranks.split) == "test")
    assert below.any()
    changed(path, nll=ranks.nll + 6 * below)
    assert verify(path) == []


def test_targets_of_one_query_stand_in_the_order_of_their_nll(factory: Any) -> None:
    setting = setting_of(USUAL, **QUERIES)
    path = factory.write("gti", setting=setting, users=200, skill=0.9)
    assert verify(path) == []
    ranks = read_ranks(ranks_path(path))
    first = ranks.user[np.flatnonzero(ranks.in_beam)[0]]
    rows = np.flatnonzero(ranks.in_beam & (ranks.user == first) & (ranks.split == "test"))
    low, high = rows[np.argsort(ranks.num_better[rows])][:2]
    nll = ranks.nll.copy()
    nll[low], nll[high] = nll[high] + 5, nll[low] + 5
    changed(path, nll=nll)
    (found,) = [each for each in verify(path) if each.field.endswith(", nll)")]
    assert found.field == f"files.ranks (row {high}, nll)"
    assert f"of row {low} of the same prompt" in found.expected


def test_a_model_has_nlls_and_a_reference_none(factory: Any) -> None:
    cell, reference = factory.write("gti"), factory.write("popularity")
    ranks = read_ranks(ranks_path(cell))
    none = np.full(len(ranks), np.nan)
    changed(cell, nll=none, trie_nll=none)
    assert "files.ranks (nll)" in fields(cell)
    changed(reference, nll=ranks.nll, trie_nll=ranks.trie_nll)
    assert "files.ranks (nll)" in fields(reference)


def at(point: int, **values: Any) -> Callable[[Content], object]:
    return lambda content: content["learning_curve"][point]["metrics"].update(values)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (at(2, nll=9.0), "2.metrics.nll"),
        (at(2, trie_nll=1.5), "2.metrics.trie_nll"),
        (at(1, nll=1.0), "1.metrics.trie_nll"),
        (at(1, nll=0.3, trie_nll=0.3), "1.metrics.nll"),
        (at(1, nll=-0.5, trie_nll=-0.5), "1.metrics.nll 1.metrics.trie_nll"),
        (at(1, trie_nll=None), "1.metrics.trie_nll"),
        (at(0, trie_nll=2.9), "0.metrics.trie_nll"),
        (at(0, trie_nll=3.6), "0.metrics.trie_nll"),
    ],
)
def test_an_nll_of_the_curve_that_cannot_be_is_found(
    factory: Any, change: Callable[[Content], object], field: str
) -> None:
    path = factory.write("mean")
    edit(path, change)
    assert fields(path) == {f"learning_curve.{each}" for each in field.split()}


def test_only_equal_rows_must_start_with_what_the_trie_gives(factory: Any) -> None:
    for method in ("random", "gti"):  # rows that differ, and rows that were trained
        path = edit(factory.write(method), at(0, trie_nll=2.9))
        assert verify(path) == []


def test_the_bound_on_a_curve_is_what_found_targets_leave(factory: Any) -> None:
    """A third of the rows are sampled: the lost ones among them alone have an NLL of ln 8."""
    path = factory.write("random", users=60, skill=-9.0)
    record = read_record(path)
    validation = read_ranks(ranks_path(path)).of_split("validation")
    assert metrics(validation, (20,), 20)["recall@20"] == 0
    assert record.learning_curve[1].metrics["recall@20"] == 0
    # 97 items share 36 Semantic IDs, at most 3 each: 21 of them have 7 at least.
    least = 20 / 60 * np.log(7)
    edit(path, at(1, nll=least + 0.01, trie_nll=0.0))
    assert verify(path) == []
    edit(path, at(1, nll=least - 0.01))
    assert fields(path) == {"learning_curve.1.metrics.nll"}
