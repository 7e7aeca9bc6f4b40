"""Boards and contrasts of five seeds: differences moderated over all methods, and told so."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.board.board import load_leaderboards
from leaderboard.board.contrasts import load_contrasts
from leaderboard.board.moderation import moderation_of
from leaderboard.board.user_scores import UserScores, read_scores
from leaderboard.records.cells import load_cells
from leaderboard.render.contrasts import contrasts_json, notes_on
from leaderboard.render.export import board_csv, board_json
from leaderboard.render.sentences import footnotes
from leaderboard.statistics.crossed import estimate, mean_squares
from leaderboard.statistics.moderated import seed_prior, shrink

METHODS = ("gti", "lc_rec", "mean", "random")


@pytest.fixture
def five(factory: Any) -> Path:
    """Four methods at five seeds, a reference, and a method with three seeds."""
    for seed in range(5):
        for key in METHODS:
            factory.write(key, seed, users=80)
    for seed in range(3):
        factory.write("gaussian", seed, users=80)
    factory.write("popularity", users=80)
    return factory.root


def scores(seeds: dict[str, int]) -> UserScores:
    """Made-up values of methods with so many seeds."""
    generator = np.random.default_rng(0)
    users = np.array([f"u{place}" for place in range(30)])
    values = {
        key: {seed: generator.random(30) for seed in range(count)} for key, count in seeds.items()
    }
    return UserScores("ndcg@10", users, values)


def test_methods_with_fewer_seeds_do_not_take_part() -> None:
    found = moderation_of(scores({"a": 5, "b": 6, "c": 7, "d": 5, "e": 3}), list("abcde"))
    assert found is not None
    assert (found.methods, found.seeds) == (("a", "b", "c", "d"), (0, 1, 2, 3, 4))


@pytest.mark.parametrize("seeds", [{}, dict.fromkeys("abcd", 4), dict.fromkeys("abc", 5)])
def test_too_few_seeds_or_methods_moderate_nothing(seeds: dict[str, int]) -> None:
    assert moderation_of(scores(seeds), list(seeds)) is None


def test_a_boards_differences_are_moderated_and_its_scores_are_not(five: Path) -> None:
    board = load_leaderboards([five]).boards[0]
    found = board.moderation
    assert found is not None
    assert found.methods == METHODS
    sds = [board.row(key).seed_sds["ndcg@10"] or 0.0 for key in METHODS]
    assert found.pooled_sd == pytest.approx(np.sqrt(np.mean(np.square(sds))))
    row = board.row("gti")
    assert row.difference is not None
    assert row.score is not None
    read = read_scores(load_cells([five], "toy")[0], "ndcg@10")
    assert read is not None
    values = {key: read.matrix(key, range(5)) for key in METHODS}
    prior = seed_prior(np.stack(list(values.values())))
    assert prior is not None
    matrix = values["gti"] - values["mean"]
    assert row.difference.estimate == estimate(matrix, shrink(mean_squares(matrix), prior))
    assert row.score == estimate(values["gti"])
    few = board.row("gaussian").difference
    assert few is not None
    three = read.matrix("gaussian", range(3)) - read.matrix("mean", range(3))
    assert few.estimate == estimate(three)


def test_contrasts_are_moderated_as_the_board_is(five: Path) -> None:
    answers, _ = load_contrasts([[five]], "toy")
    board = load_leaderboards([five]).boards[0]
    on_board = {row.key: row.difference for row in board.rows}
    same = [each for each in answers.answers if each.contrast.b == "mean"]
    assert {each.contrast.a for each in same} >= {"gti", "random"}
    for each in same:
        difference = on_board[each.contrast.a]
        assert difference is not None
        assert each.estimate == difference.estimate


def test_readers_and_programs_are_told_what_was_moderated_over_what(five: Path) -> None:
    board = load_leaderboards([five]).boards[0]
    answers, _ = load_contrasts([[five]], "toy")
    told = "seed variance of differences is moderated over 4 methods of 5 seeds"
    assert sum(told in note for note in footnotes(board)) == 1
    assert sum(told in note for note in notes_on(answers)) == 1
    moderation = json.loads(board_json(board))["moderation"]
    assert moderation == json.loads(contrasts_json(answers))["moderation"]
    assert moderation["methods"] == list(METHODS)
    assert 0 < moderation["prior"]["degrees"] <= 4
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(board_csv(board)))}
    assert float(lines["gti"]["pooled_seed_sd"]) == moderation["pooled_sd"]
    assert lines["popularity"]["pooled_seed_sd"] == ""


def test_boards_of_three_seeds_say_nothing_of_it(factory: Any) -> None:
    for seed in range(3):
        for key in METHODS:
            factory.write(key, seed, users=80)
    board = load_leaderboards([factory.root]).boards[0]
    assert board.moderation is None
    assert "moderat" not in board_json(board) + board_csv(board)
