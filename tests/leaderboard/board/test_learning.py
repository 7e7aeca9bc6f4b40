"""Learning curves: crossings computed by hand, what lies before SFT, seeds that never get there."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.by_hand import curve_by_hand
from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.board.learning import crossing
from leaderboard.figures.curves import learning_curves
from leaderboard.figures.palette import Palette
from leaderboard.records.cells import load_cells
from leaderboard.render.board_tables import render


def board_of(factory: Any, curves: dict[str, Sequence[Sequence[float]]]) -> Leaderboard:
    """A board whose methods have the given curves, one per seed: points 10 steps apart."""
    for key, own in curves.items():
        for seed, scores in enumerate(own):
            factory.write(key, seed, learning_curve=curve_by_hand(*scores))
    return load_leaderboards([factory.root]).boards[0]


def test_a_crossing_is_interpolated_by_hand() -> None:
    assert crossing([0.0, 0.1, 0.3], 0.2) == pytest.approx(1.5)
    assert crossing([0.0, 0.1, 0.3], 0.1) == pytest.approx(1.0)
    assert crossing([0.2, 0.1], 0.2) == 0.0
    assert crossing([0.0, 0.4, 0.1, 0.5], 0.3) == pytest.approx(0.75)  # the first one
    assert crossing([0.0, 0.1, 0.19], 0.2) is None


def test_steps_flops_and_seconds_to_the_target(factory: Any) -> None:
    # mean ends at .20; random passes it between .10 (step 10) and .30 (step 20): step 15.
    board = board_of(factory, {"mean": [(0.0, 0.05, 0.2)], "random": [(0.02, 0.1, 0.3)]})
    found = {each.key: each for each in board.learning}
    assert found["random"].steps == pytest.approx(15)
    assert found["random"].nominal_flops == pytest.approx(15e6)
    assert found["random"].seconds == pytest.approx(3.0)
    assert found["random"].nominal_flops_in_all == pytest.approx(15e6)
    assert found["random"].seconds_in_all == pytest.approx(3.5)  # init took half a second
    assert (found["random"].start, found["random"].end) == (0.02, 0.3)
    assert found["random"].difference == pytest.approx(0.1)
    assert found["random"].difference_sd is None  # a single seed
    assert (found["random"].num_reached, found["random"].num_seeds) == (1, 1)
    assert found["mean"].steps == pytest.approx(20)
    assert found["mean"].difference == 0


def test_grounding_is_counted_where_it_says_so(factory: Any) -> None:
    # The factory's `gti` grounds for 9 s and 0.25e9 FLOPs before SFT.
    board = board_of(factory, {"mean": [(0.0, 0.2)], "gti": [(0.1, 0.3)]})
    gti = next(each for each in board.learning if each.key == "gti")
    assert gti.steps == pytest.approx(5)
    assert gti.nominal_flops == pytest.approx(5e6)
    assert gti.nominal_flops_in_all == pytest.approx(5e6 + 0.25e9)
    assert gti.seconds == pytest.approx(1.0)
    assert gti.seconds_in_all == pytest.approx(1.0 + 9.0 + 0.5)


def test_a_method_that_never_gets_there_has_no_steps(factory: Any) -> None:
    board = board_of(factory, {"mean": [(0.0, 0.1, 0.2)], "random": [(0.0, 0.1, 0.15)]})
    random = next(each for each in board.learning if each.key == "random")
    assert (random.num_reached, random.num_seeds) == (0, 1)
    assert random.steps is random.nominal_flops is random.seconds is random.seconds_in_all is None
    line = next(row for row in render(board, "md").splitlines() if "0 of 1" in row)
    assert line.count("–") == 5


def test_means_are_over_the_seeds_that_got_there_and_targets_are_each_seeds_own(
    factory: Any,
) -> None:
    board = board_of(
        factory,
        {
            "mean": [(0.0, 0.1, 0.2), (0.0, 0.1, 0.4), (0.0, 0.0, 0.0)],
            "random": [(0.0, 0.2, 0.3), (0.0, 0.1, 0.3), (0.0, 0.1, 0.2)],
        },
    )
    random = next(each for each in board.learning if each.key == "random")
    # Seed 0 reaches .2 at step 10, seed 1 never reaches .4, seed 2 has no target (mean ended at 0).
    assert (random.num_reached, random.num_seeds) == (1, 2)
    assert random.steps == pytest.approx(10)
    assert random.difference == pytest.approx((0.1 - 0.1 + 0.2) / 3)
    assert random.difference_sd == pytest.approx(0.152753, abs=1e-6)


def test_mean_is_timed_by_the_same_rule_as_the_others(factory: Any) -> None:
    wavy = (0.0, 0.4, 0.1, 0.2)
    board = board_of(factory, {"mean": [wavy], "random": [wavy]})
    assert len({each.steps for each in board.learning}) == 1
    assert board.learning[0].steps == pytest.approx(5)


def test_a_loss_is_reached_from_above(factory: Any, give_nll: Any) -> None:
    # mean ends at 3.0; random falls through it between 4.0 (step 10) and 2.0 (step 20): step 15.
    for key, losses in (("mean", (6.0, 4.0, 3.0)), ("random", (5.0, 4.0, 2.0))):
        curve = curve_by_hand(*losses)
        for point in curve:
            point["metrics"] = {"trie_nll": point["metrics"]["ndcg@10"]}
        give_nll(factory.write(key, learning_curve=curve))
    (board,) = load_leaderboards([factory.root], "trie_nll").boards
    random = next(each for each in board.learning if each.key == "random")
    assert random.steps == pytest.approx(15)
    assert random.difference == pytest.approx(-1.0)
    assert (random.num_reached, random.num_seeds) == (1, 1)
    assert "trie_nll on all validation users" in " ".join(render(board).split())


def test_without_mean_nothing_is_said(factory: Any) -> None:
    board = board_of(factory, {"random": [(0.0, 0.1)]})
    assert board.learning == ()
    assert "Learning:" not in render(board)


def test_the_json_form_holds_the_learning_figures(factory: Any) -> None:
    board = board_of(factory, {"mean": [(0.0, 0.2)], "gti": [(0.1, 0.3)]})
    content = json.loads(render(board, "json"))
    stored = {each["key"]: each for each in content["learning"]}
    assert stored["gti"]["steps"] == pytest.approx(5)
    assert stored["gti"]["num_reached"] == 1


def test_the_figure_has_a_line_per_method_and_begins_after_grounding(whole_board: Path) -> None:
    cells, _ = load_cells([whole_board])
    by_method = {
        key: [cell for cell in cells if cell.record.method.key == key]
        for key in ("mean", "random", "gti", "lc_rec")
    }
    steps, flops = (
        {row["method"]: row for rows in figure.data.values() for row in rows}
        for figure in learning_curves(by_method, "ndcg@10", Palette.of(cells))
    )
    for rows in (steps, flops):
        assert rows.keys() == by_method.keys()
        # A band over the seeds for each.
        assert all(row["low"] < row["y"] < row["high"] for row in rows.values())
    first = {key: row["x"][0] for key, row in flops.items()}
    assert first == pytest.approx({"mean": 0, "random": 0, "gti": 0.25e9, "lc_rec": 0})
    assert steps["mean"]["x"] == [0, 10, 20]
