"""What boards say together: verdicts counted by hand, ranks between the tests of all pairs."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli.app import exit_code
from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.board.over_boards import OnBoard, Verdicts, load_on_boards, on_board, totals
from leaderboard.board.tested import Word
from leaderboard.records.cells import load_cells
from leaderboard.render.over_boards import gti_table

Write = Callable[..., Path]
SHIFTS = {"mean": 0.0, "random": -0.5, "lc_rec": 0.0, "gaussian": 0.5}


@pytest.fixture
def write(factory: Any, toy_setting: Any, give_nll: Any) -> Write:
    """Writes methods of so much NLL more than others under what a setting declares."""

    def make(name: str, shifts: Mapping[str, float], seeds: int = 3, **changes: Any) -> Path:
        contrasts = [
            {"a": a, "b": "mean", "claim": f"{a} beats mean"}
            for a in ("random", "gaussian", "lc_rec")
        ]
        primary = {"outcome": "trie_nll", "margin": 0.2, "rule": "fixed order"}
        setting = toy_setting(name=name, primary=primary | {"contrasts": contrasts}, **changes)
        for key, shift in shifts.items():
            for seed in range(seeds):
                give_nll(factory.write(key, seed, setting=setting, users=300), shift)
        root: Path = factory.root
        return root

    return make


def by_method(found: list[OnBoard]) -> dict[str, OnBoard]:
    return {each.method: each for each in found}


def test_declared_contrasts_are_counted_from_both_sides(write: Write) -> None:
    found = by_method(load_on_boards([write("one", SHIFTS)])[0])
    assert {key: each.metric for key, each in found.items()} == dict.fromkeys(SHIFTS, "trie_nll")
    assert {key: each.declared for key, each in found.items()} == {
        "random": Verdicts(won=1),
        "gaussian": Verdicts(lost=1),
        "lc_rec": Verdicts(equal=1),
        "mean": Verdicts(won=1, lost=1, equal=1),
    }
    assert found["mean"].against_base == Verdicts()
    assert found["random"].against_base == Verdicts(won=1)
    assert found["gaussian"].against_base == Verdicts(lost=1)
    assert found["lc_rec"].against_base == Verdicts(open=1)


def test_ranks_lie_where_differences_that_are_shown_leave_them(write: Write) -> None:
    shifts = {"mean": 0.0, "random": -0.5, "gaussian": 0.5}
    found = by_method(load_on_boards([write("one", shifts)])[0])
    ranks = {key: (each.rank, each.low, each.high) for key, each in found.items()}
    # lc_rec has no record, so that not all that is declared is shown: random and gaussian are told
    # apart from mean by primary contrasts, from each other by nothing that may be claimed.
    assert ranks == {"random": (1, 1, 2), "mean": (2, 2, 2), "gaussian": (3, 2, 3)}
    assert {each.methods for each in found.values()} == {3}


def lettered(board: Leaderboard, ties: Mapping[str, str]) -> Leaderboard:
    """`board` as if its tests had left these letters."""
    return replace(board, rows=tuple(replace(r, ties=ties.get(r.key, "")) for r in board.rows))


def test_by_brute_force_no_order_that_the_letters_allow_lies_beyond(whole_board: Path) -> None:
    keys = ["mean", "random", "gti", "lc_rec"]
    (board,) = load_leaderboards([whole_board]).boards
    means = {row.key: row.means["ndcg@10"] or 0.0 for row in board.rows}
    for letters in itertools.product(("a", "b", "ab", "bc", "c"), repeat=4):
        ties = dict(zip(keys, letters, strict=True))
        shown = {
            (one, other)
            for one, other in itertools.permutations(keys, 2)
            if not set(ties[one]) & set(ties[other]) and means[one] > means[other]
        }
        allowed = [
            order
            for order in itertools.permutations(keys)
            if all(order.index(one) < order.index(other) for one, other in shown)
        ]
        for each in on_board(lettered(board, ties)):
            places = {1 + order.index(each.method) for order in allowed}
            assert each.low is not None
            assert each.high is not None
            assert min(places) >= each.low
            assert max(places) <= each.high
            assert each.low == 1 + sum(b == each.method for _, b in shown)
            assert each.high == 4 - sum(a == each.method for a, _ in shown)


@pytest.mark.parametrize("turned", [False, True])
def test_what_gti_is_against_others_does_not_hang_on_which_is_named_first(
    write: Write, factory: Any, toy_setting: Any, give_nll: Any, turned: bool
) -> None:
    others = ("random", "gaussian", "lc_rec")
    contrasts: list[dict[str, Any]] = [
        {"a": other, "b": "gti", "claim": "as it may be"}
        if turned
        else {"a": "gti", "b": other, "claim": "as it may be"}
        for other in others
    ]
    primary = {"outcome": "trie_nll", "margin": 0.2, "rule": "fixed order", "contrasts": contrasts}
    setting = toy_setting(name="one", primary=primary, evidence=True)
    shifts = {"gti": 0.0, "random": -0.5, "gaussian": 0.5, "mean": 0.6}
    for key, shift in shifts.items():
        for seed in range(3):
            give_nll(factory.write(key, seed, setting=setting, users=300), shift)
    write("two", SHIFTS)  # a board without gti is not asked
    found = load_on_boards([factory.root])[0]
    marks = {each.method: each.gti_is for each in found if each.setting == "one"}
    # A lower NLL is better; of mean nothing is claimed, as lc_rec, which is declared, has not run.
    assert marks == {"gti": None, "random": "worse", "gaussian": "better", "mean": "open"}
    assert {each.gti_is for each in found if each.setting == "two"} == {None}
    table = gti_table(found)
    assert table is not None
    assert [column.name for column in table.columns] == ["method", "one"]


def test_a_method_that_a_board_has_not_run_is_told_so(whole_board: Path, tmp_path: Path) -> None:
    found = load_on_boards([whole_board])[0]
    elsewhere = [replace(each, setting_hash="other", setting="other", evidence=True)
                 for each in found if each.method in ("gti", "mean")]  # fmt: skip
    table = gti_table([*found, *elsewhere])
    assert table is not None
    here = next(each.setting_hash for each in found)
    assert [column.name for column in table.columns][1:] == ["other", "toy (no evidence)"]
    lines = {line.key: line.entries for line in table.lines}
    assert "gti" not in lines
    assert lines["lc_rec"]["other"].text == "not run"
    assert lines["lc_rec"][here].text != "not run"


def test_one_seed_says_nothing_of_others(write: Write) -> None:
    found = by_method(load_on_boards([write("one", SHIFTS, seeds=1)])[0])
    assert {each.declared for key, each in found.items() if key != "mean"} == {Verdicts(unjudged=1)}
    assert found["random"].against_base == Verdicts(unjudged=1)
    assert {(each.low, each.high) for each in found.values()} == {(1, 4)}
    assert [found[key].rank for key in ("random", "gaussian")] == [1, 4]


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("better", Verdicts(won=1)),
        ("worse", Verdicts(lost=1)),
        ("not shown", Verdicts(open=1)),
        ("not claimed", Verdicts(open=1)),
        ("no verdict", Verdicts(unjudged=1)),
        ("not tested", Verdicts(unjudged=1)),
    ],
)
def test_every_word_against_mean_is_counted_once(
    whole_board: Path, word: Word, wanted: Verdicts
) -> None:
    (board,) = load_leaderboards([whole_board]).boards
    rows = tuple(
        row
        if row.difference is None
        else replace(row, difference=replace(row.difference, verdict=word))
        for row in board.rows
    )
    found = by_method(on_board(replace(board, rows=rows)))
    assert set(found) == {"mean", "random", "gti", "lc_rec"}  # references are no methods
    assert found["gti"].against_base == wanted


def test_totals_are_sums_and_mean_ranks_over_the_boards_a_method_stands_on(write: Write) -> None:
    write("one", SHIFTS)
    root = write("two", {"mean": 0.0, "random": 0.5}, evidence=True)
    found, refused = load_on_boards([root])
    assert refused == []
    made = {each.method: each for each in totals(found)}
    assert made["random"].boards == 2
    assert made["random"].declared == Verdicts(won=1, lost=1)
    assert made["random"].rank == 1.5
    assert made["gaussian"].boards == 1
    ran = [e.record for e in load_cells([root])[0] if e.record.method.key == "random"]
    spent = sum(cost.seconds for record in ran for cost in record.cost.values())
    assert made["random"].hours == pytest.approx(spent / 3600)
    ranks = [each.rank or 0.0 for each in totals(found)]
    assert ranks == sorted(ranks)
    assert [each.evidence for each in found] == [False] * 4 + [True] * 2


def test_the_command_prints_evidence_first_and_every_count_for_programs(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("one", SHIFTS)
    root = write("two", {"mean": 0.0, "random": 0.5}, evidence=True)

    def printed(*arguments: str) -> str:
        assert exit_code(["summary", "--results", str(root), *arguments]) == 0
        return capsys.readouterr().out

    text = printed()
    order = ["Over 1 board of evidence", "Over 2 boards, of which some are no", "Board by board"]
    assert sorted(order, key=text.index) == order
    assert "none of it evidence" in printed("one")
    assert "| random" in printed("--format", "md")
    content = json.loads(printed("--format", "json"))
    (random,) = (each for each in content["over_all"] if each["method"] == "random")
    assert (random["declared"]["won"], random["declared"]["lost"]) == (1, 1)
    assert {each["method"] for each in content["over_evidence"]} == {"mean", "random"}
    lines = list(csv.DictReader(io.StringIO(printed("--format", "csv"))))
    assert [line["declared_won"] for line in lines if line["method"] == "random"] == ["1", "0"]
    assert len(lines) == len(content["by_board"]) == 6
    by_rank = {line["metric"] for line in csv.DictReader(
        io.StringIO(printed("--format", "csv", "--metric", "recall@10"))
    )}  # fmt: skip
    assert by_rank == {"recall@10"}


def test_what_cannot_be_shown_is_told_in_a_line(
    whole_board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["summary", "--results", str(whole_board), "--metric", "recall@7"]) == 2
    assert "is not scored at recall@7" in capsys.readouterr().err
    assert exit_code(["summary", "nothing", "--results", str(tmp_path)]) == 2
    assert "no records of setting 'nothing'" in capsys.readouterr().err
