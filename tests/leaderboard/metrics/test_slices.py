"""Slices: their names, the users in them, and boards of one slice."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.by_hand import ranks_by_hand
from leaderboard.board.board import load_leaderboards
from leaderboard.metrics.graded import Relevance
from leaderboard.metrics.metrics import per_user, slice_masks
from leaderboard.metrics.slices import (
    NEXT_ITEM_SLICES,
    check_slice_name,
    extent_of_slice,
    members_by_slice,
)
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record, record_path
from leaderboard.render.board_tables import render
from leaderboard.render.explain import explain
from leaderboard.statistics.crossed import estimate


def values_in_slice(root: Path, method: str, slice_name: str, metric: str) -> np.ndarray:
    """[S, U] values of the users whose row lies in the slice, by a plain loop."""
    matrix = []
    for seed in (0, 1, 2):
        ranks = read_ranks(ranks_path(record_path(root, "toy", method, seed))).of_split("test")
        inside = {str(user) for user in ranks.user[slice_masks(ranks)[slice_name]]}
        users, values = per_user(ranks, metric)
        matrix.append([v for user, v in zip(users, values, strict=True) if user in inside])
    return np.array(matrix)


@pytest.mark.parametrize("name", [*NEXT_ITEM_SLICES, "queries:item", "queries:genre"])
def test_known_names_pass(name: str) -> None:
    assert check_slice_name(name) == name


@pytest.mark.parametrize("name", ["tail", "popularity:tal", "queries:", "history", ""])
def test_an_unknown_name_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"unknown slice .*popularity:tail.*history:short.*queries:KIND"
    ):
        check_slice_name(name)


def test_users_follow_their_rows_over_wordings() -> None:
    users = np.array(["b", "a", "b", "a", "c", "c"])
    ranks = ranks_by_hand(
        [(0, 0)] * 6,
        user=users,
        wording=[0, 0, 1, 1, 0, 1],
        target_popularity=[5, 0, 5, 0, 9, 9],
        history_length=[3, 4, 3, 4, 5, 5],
    )
    members = members_by_slice(ranks, np.array(["a", "b", "c"]), None)
    assert members["popularity:unseen"].tolist() == [True, False, False]
    assert members["popularity:tail"].tolist() == [False, True, False]
    assert members["history:long"].tolist() == [False, False, True]


def test_queries_are_split_by_kind() -> None:
    ranks = ranks_by_hand(
        [(0, 0), (1, 0), (0, 0)],
        user=["item/1", "item/1", "category/x"],
        item=["x", "y", "x"],
        grade=[2, 1, 2],
    )
    members = members_by_slice(ranks, np.array(["category/x", "item/1"]), Relevance((1.0, 3.0)))
    assert {name: inside.tolist() for name, inside in members.items()} == {
        "queries:category": [True, False],
        "queries:item": [False, True],
    }


def test_extents_are_words() -> None:
    assert extent_of_slice("popularity:tail", {"from": 1.0, "to": 12.0}) == (
        "1 to 12 training interactions of the target"
    )
    assert extent_of_slice("history:long", {"from": 1.0, "to": 1.0}) == "1 item of history"
    assert extent_of_slice("queries:item", {"from": 1.0, "to": 1200.0}) == (
        "1 to 1,200 relevant items per query"
    )
    assert extent_of_slice("history:long", {"from": None, "to": None}) == "empty"
    assert extent_of_slice("transition:seen", {"from": 1.0, "to": 7.0}) == (
        "1 to 7 transitions from the last item to the target in training"
    )


@pytest.mark.parametrize("name", ["popularity:tail", "popularity:head", "history:short"])
def test_a_board_of_a_slice_is_that_of_its_users_alone(whole_board: Path, name: str) -> None:
    board = load_leaderboards([whole_board], "recall@5", slice_name=name).boards[0]
    gti, mean = (values_in_slice(whole_board, key, name, "recall@5") for key in ("gti", "mean"))
    row = board.row("gti")
    assert row.score == estimate(gti)
    assert row.difference.estimate == estimate(gti - mean)
    assert board.num_users == gti.shape[1] < 60
    assert row.means["recall@5"] == pytest.approx(gti.mean())
    stored = [read_record(path).slices[name]["ndcg@20"] for path in row.paths.values()]
    assert row.means["ndcg@20"] == pytest.approx(np.mean(stored))
    means = [each.means["recall@5"] for each in board.rows]
    assert means == sorted(means, reverse=True)
    assert board.learning == ()


def test_every_format_names_the_slice(whole_board: Path) -> None:
    board = load_leaderboards([whole_board], slice_name="history:short").boards[0]
    for form in ("terminal", "md", "latex"):
        text = render(board, form)
        assert "slice history:short (3 to" in text
        assert "items of history)" in text
    assert json.loads(render(board, "json"))["slice"] == "history:short"
    rows = list(csv.DictReader(io.StringIO(render(board, "csv"))))
    assert {row["slice"] for row in rows} == {"history:short"}
    assert float(rows[0]["ndcg@10"]) == board.rows[0].means["ndcg@10"]


def test_explain_gives_the_figures_of_the_slice(whole_board: Path) -> None:
    board = load_leaderboards([whole_board], slice_name="history:short").boards[0]
    text = "\n".join(explain(board, "gti/seed-1"))
    path = board.row("gti").paths[1]
    assert repr(read_record(path).slices["history:short"]["ndcg@10"]) in text
    assert "slice history:short" in text


def test_a_slice_of_the_other_track_or_without_users_is_refused(factory: Any) -> None:
    factory.write("mean")
    (line,) = load_leaderboards([factory.root], slice_name="queries:item").refused
    assert "setting toy has no slice 'queries:item'; it has popularity:" in line
    factory.root = factory.root.with_name("few")
    factory.write("mean", users=3)
    record = read_record(record_path(factory.root, "toy", "mean", 0))
    empty = next(name for name, figures in record.slices.items() if not figures["rows"])
    (line,) = load_leaderboards([factory.root], slice_name=empty).refused
    assert f"slice '{empty}' of setting toy is empty; those with users are" in line


def test_the_command_takes_a_slice(whole_board: Path, capsys: Any) -> None:
    arguments = ["table", "toy", "--results", str(whole_board), "--format", "csv", "--slice"]
    assert exit_code([*arguments, "history:long"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["slice"] for row in rows} == {"history:long"}
    assert exit_code([*arguments, "history:lang"]) == 2
    assert "unknown slice 'history:lang'; slices are " in capsys.readouterr().err
    assert exit_code([*arguments, "queries:item"]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert "setting toy has no slice 'queries:item'" in found.err
