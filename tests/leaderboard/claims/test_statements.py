"""What the paper states, judged of rows by an own t interval and of scores by the board."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.cli.app import exit_code
from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.claims.statements import STATEMENTS, Judged, judge, load_judged, together
from leaderboard.records.cells import Cell, load_cells

Change = Callable[[str, int, str], float | None]


@pytest.fixture(scope="module")
def board_and_cells(whole_board: Path) -> tuple[Leaderboard, list[Cell]]:
    """A board of mean, random, gti and lc_rec at three seeds."""
    (board,) = load_leaderboards([whole_board]).boards
    return board, load_cells([whole_board])[0]


def with_cosines(cells: list[Cell], cosine: Callable[[str, int], float]) -> list[Cell]:
    """`cells` with other mean cosines after SFT, by method and seed."""
    made = []
    for cell in cells:
        record = cell.record
        numbers = dict(record.diagnostics)
        if "sft" in numbers:
            found = cosine(record.method.key, record.seed)
            numbers["sft"] = numbers["sft"].model_copy(update={"cosine_mean": found})
        made.append(replace(cell, record=record.model_copy(update={"diagnostics": numbers})))
    return made


def judged(board: Leaderboard, cells: list[Cell]) -> dict[str, Judged]:
    return {each.statement: each for each in judge(board, cells)}


def test_rows_at_the_mean_are_one_direction(board_and_cells: Any) -> None:
    found = judged(*board_and_cells)["mean collapses"]
    assert (found.word, found.because) == ("holds", "mean before SFT: effective rank 1.0")


@pytest.mark.parametrize(
    ("shift", "spread", "word"),
    [(0.5, 0.02, "holds"), (-0.5, 0.02, "contrary"), (0.01, 0.02, "open")],
)
def test_the_collapse_outlives_sft_where_an_interval_over_seeds_says_so(
    board_and_cells: Any, shift: float, spread: float, word: str
) -> None:
    board, cells = board_and_cells
    noise = np.random.default_rng(0).normal(0.0, spread, 3)

    def cosine(key: str, seed: int) -> float:
        return 0.3 + (shift + noise[seed] if key == "mean" else 0.0)

    found = judged(board, with_cosines(cells, cosine))["the collapse outlives SFT"]
    assert found.word == word
    half = stats.t.ppf(0.975, 2) * noise.std(ddof=1) / np.sqrt(3)
    middle = shift + noise.mean()
    assert f"{middle:+.3f} [{middle - half:+.3f}, {middle + half:+.3f}] over seeds" in found.because
    assert "of mean, 0.300 of random" in found.because


def test_one_seed_is_no_verdict_and_what_has_not_run_is_told(board_and_cells: Any) -> None:
    board, cells = board_and_cells
    alone = [cell for cell in cells if cell.record.seed == 0]
    assert judged(board, alone)["the collapse outlives SFT"].word == "no verdict"
    grounded = [cell for cell in cells if cell.record.method.key == "gti"]
    found = judged(board, grounded)
    assert found["the collapse outlives SFT"].word == "not run"
    assert found["mean collapses"].word == "not run"


def test_without_rows_drawn_at_random_grounded_rows_are_what_stands_apart(
    board_and_cells: Any,
) -> None:
    board, cells = board_and_cells
    fewer = [cell for cell in cells if cell.record.method.key != "random"]
    assert "of gti" in judged(board, fewer)["the collapse outlives SFT"].because


@pytest.mark.parametrize(
    ("shifts", "word"),
    [
        ({"mean": 0.5, "mean_matched": 0.5, "lc_rec": 0.5}, "holds"),
        ({"mean": 0.5, "mean_matched": -0.5, "lc_rec": 0.5}, "contrary"),
        ({"mean": 0.5, "lc_rec": 0.5}, "holds"),
        ({"mean_matched": 0.5}, "open"),
        ({}, "not run"),
    ],
)
def test_grounding_is_better_only_where_the_board_says_so_of_all(
    factory: Any, toy_setting: Any, give_nll: Any, shifts: dict[str, float], word: str
) -> None:
    contrasts = [
        {"a": "gti", "b": key, "claim": "gti beats it"} for key in shifts or ("mean", "lc_rec")
    ]
    primary = {"outcome": "trie_nll", "margin": 0.2, "rule": "holm", "contrasts": contrasts}
    setting = toy_setting(primary=primary)
    for key, shift in {"gti": 0.0, **shifts}.items():
        for seed in range(3):
            give_nll(factory.write(key, seed, setting=setting, users=300), shift)
    found = {each.statement: each.word for each in load_judged([factory.root])}
    assert found.get("grounding is better", "not run") == word


def test_boards_of_evidence_come_first_and_boards_that_judge_nothing_are_left_out() -> None:
    def one(statement: str, setting: str, evidence: bool, word: Any) -> Judged:
        return Judged(statement, setting, setting, evidence, word, "")

    first, second = list(STATEMENTS)[:2]
    found = together(
        [
            one(second, "nano", False, "open"),
            one(first, "nano", False, "holds"),
            one(first, "real", True, "not run"),
            one(second, "real", True, "holds"),
            one(first, "empty", True, "not run"),
        ]
    )
    assert [(each.statement, each.setting) for each in found] == [
        (first, "real"), (first, "nano"), (second, "real"), (second, "nano"),
    ]  # fmt: skip


def test_the_command_prints_them_first_and_programs_get_them_too(
    whole_board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["claims", "--results", str(whole_board)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("What the GTI paper states, board by board")
    assert "toy (no evidence)" in printed
    assert exit_code(["claims", "--results", str(whole_board), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    words = {e["statement"]: e["word"] for e in content["statements"] if e["setting"] == "toy"}
    assert words["mean collapses"] == "holds"
    assert exit_code(["claims", "gti-vibrent", "--results", str(whole_board), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["statements"] == []
