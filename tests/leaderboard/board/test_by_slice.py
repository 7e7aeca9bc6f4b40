"""Slices from ranks read once are those of the boards that `table --slice` builds one by one."""

from typing import Any

from leaderboard.board.board import build
from leaderboard.board.by_slice import scores_by_slice
from leaderboard.board.user_scores import ScoresReader
from leaderboard.records.cells import load_cells


def test_every_slice_is_the_board_of_that_slice(factory: Any) -> None:
    factory.board()
    cells, _ = load_cells([factory.root])
    reader = ScoresReader()
    found = scores_by_slice(build(cells, reader=reader), cells, reader)
    record = cells[0].record
    filled = {name for name, own in record.slices.items() if own["rows"]}
    assert {each.name for each in found} == filled
    assert len(filled) >= 6
    for each in found:
        board = build(cells, slice_name=each.name)
        assert (each.extent, each.num_users) == (board.slice_extent, board.num_users)
        assert each.scores == {row.key: row.score for row in board.rows}
        assert each.differences == {
            row.key: row.difference for row in board.rows if row.difference is not None
        }


def test_slices_of_one_kind_stand_in_the_order_in_which_they_rise(factory: Any) -> None:
    factory.board(methods=("mean",), seeds=(0,))
    cells, _ = load_cells([factory.root])
    reader = ScoresReader()
    found = scores_by_slice(build(cells, reader=reader), cells, reader)
    parts = [each.name.partition(":")[2] for each in found]
    assert parts == [
        *("short", "medium", "long"),
        *("unseen", "tail", "middle", "head"),
        *("unseen", "seen"),
    ]
    assert [each.differences for each in found] == [{}] * len(found)


def test_a_metric_beyond_the_beam_has_no_slices(factory: Any, toy_setting: Any) -> None:
    evaluation = {**toy_setting().evaluation.model_dump(), "cutoffs": (1, 5, 10, 20, 50)}
    factory.write("mean", 0, setting=toy_setting(evaluation=evaluation))
    cells, _ = load_cells([factory.root])
    reader = ScoresReader()
    assert scores_by_slice(build(cells, "ndcg@50", reader=reader), cells, reader) == ()
