"""Boards: what stands on them, what they refuse, and what is left out with a note."""

import dataclasses
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import give_ranks, reordered
from leaderboard.board.board import load_leaderboards
from leaderboard.board.contrasts import load_contrasts
from leaderboard.board.method_rows import under_trained
from leaderboard.metrics.metrics import per_user
from leaderboard.records.cells import LeaderboardError, load_cells
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record, record_path
from leaderboard.statistics.corrections import holm
from leaderboard.statistics.crossed import estimate


def only_board(*directories: Path, **options: Any) -> Any:
    found = load_leaderboards(directories, **options)
    assert found.refused == ()
    assert len(found.boards) == 1
    return found.boards[0]


def scores_of(root: Path, method: str, seeds: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    paths = [record_path(root, "toy", method, seed) for seed in seeds]
    return np.stack(
        [per_user(read_ranks(ranks_path(p)).of_split("test"), "ndcg@10")[1] for p in paths]
    )


def test_rows_are_sorted_by_the_score_with_references_at_their_place(whole_board: Path) -> None:
    board = only_board(whole_board)
    means = [row.means["ndcg@10"] for row in board.rows]
    assert means == sorted(means, reverse=True)
    kinds = {row.key: row.kind for row in board.rows}
    assert kinds["popularity"] == kinds["markov"] == "reference"
    assert set(kinds) == {"mean", "random", "gti", "lc_rec", "popularity", "markov"}
    assert not board.provisional
    assert not board.evidence
    assert board.num_users == 60


def test_means_and_sds_are_those_of_the_records(whole_board: Path) -> None:
    row = only_board(whole_board).row("gti")
    values = [read_record(path).metrics["test"]["recall@5"] for path in row.paths.values()]
    assert row.means["recall@5"] == pytest.approx(np.mean(values))
    assert row.seed_sds["recall@5"] == pytest.approx(np.std(values, ddof=1))


def test_intervals_and_differences_are_those_of_the_crossed_model(whole_board: Path) -> None:
    board = only_board(whole_board)
    gti, mean = scores_of(whole_board, "gti"), scores_of(whole_board, "mean")
    row = board.row("gti")
    assert row.score == estimate(gti)
    assert row.score.mean == pytest.approx(row.means["ndcg@10"])
    assert row.difference.estimate == estimate(gti - mean)
    assert row.difference.base == "mean"
    assert board.row("mean").difference is None
    reference = board.row("popularity").difference
    assert reference.p is None
    assert reference.verdict == "not tested"
    expected = scores_of(whole_board, "popularity", (0,))[0] - mean
    assert reference.estimate == dataclasses.replace(estimate(expected), p=None)
    assert (reference.smallest, reference.seeds_needed) == (None, None)


def test_p_is_corrected_over_all_that_board_and_contrasts_show(whole_board: Path) -> None:
    board = only_board(whole_board)
    # Three methods against mean, and gti − lc_rec, which gti declares.
    pairs = [("gti", "mean"), ("lc_rec", "mean"), ("random", "mean"), ("gti", "lc_rec")]
    values = {key: scores_of(whole_board, key) for key in ("gti", "lc_rec", "mean", "random")}
    corrected = holm([estimate(values[a] - values[b]).p for a, b in pairs])
    found, _ = load_contrasts([[whole_board]], "toy", "ndcg@10")
    by_pair = {(each.contrast.a, each.contrast.b): each.p for each in found.answers}
    assert by_pair[pairs[3]] == pytest.approx(corrected[3])
    for (key, _), p in zip(pairs[:3], corrected, strict=False):
        assert board.row(key).difference.p == pytest.approx(p)
        assert by_pair.get((key, "mean"), p) == pytest.approx(p)


def test_a_plain_difference_is_found_and_letters_show_it(factory: Any) -> None:
    board = only_board(factory.board({"mean": 0.2, "random": 0.7}, users=400))
    assert board.row("random").difference.verdict == "better"
    assert (board.row("random").ties, board.row("mean").ties) == ("a", "b")
    assert any("popularity" in note for note in board.notes)


def test_missing_seeds_make_a_board_provisional(factory: Any) -> None:
    factory.write("mean", 0)
    factory.write("mean", 1)
    factory.write("gti", 0)
    board = only_board(factory.root)
    assert board.provisional
    assert board.row("mean").missing_seeds == (2,)
    assert board.row("gti").missing_seeds == (1, 2)
    assert board.row("gti").score.scope == "conditional on one seed"
    assert board.row("gti").difference.estimate.num_seeds == 1
    assert board.row("mean").score.scope == "seeds and users"


def test_a_cell_below_popularity_is_under_trained(factory: Any) -> None:
    factory.write("popularity", skill=0.6)
    factory.write("gti", 0, skill=0.9)
    factory.write("gti", 1, skill=0.1)
    assert only_board(factory.root).row("gti").under_trained == (1,)


def test_nothing_is_said_of_a_null_recall(factory: Any) -> None:
    factory.write("popularity", skill=0.6)
    factory.write("gti", 0, skill=0.1)
    cells, _ = load_cells([factory.root])
    floor, cell = sorted(cells, key=lambda each: each.record.kind, reverse=True)
    metrics = {"test": {**cell.record.metrics["test"], "recall@10": None}}
    assert under_trained([cell.record], [floor]) == (0,)
    assert under_trained([cell.record.model_copy(update={"metrics": metrics})], [floor]) == ()


def test_diagnostics_and_cost_are_means_over_seeds(whole_board: Path) -> None:
    row = only_board(whole_board).row("gti")
    assert list(row.diagnostics) == ["init", "grounding", "sft"]
    assert row.diagnostics["init"]["effective_rank"] == pytest.approx(1)
    assert row.seconds == pytest.approx(0.5 + 61 + 5 + 9)
    assert row.nominal_flops == pytest.approx(1.25e9)
    assert row.extra_flops == pytest.approx(0.25e9)


def test_a_metric_beyond_the_beam_has_no_intervals(factory: Any, toy_setting: Any) -> None:
    evaluation = {"cutoffs": (10, 50), "wordings": 1, "validation_users": 20, "curve_points": 2}
    setting = toy_setting(evaluation=evaluation)
    from leaderboard.board.user_scores import read_scores
    from leaderboard.records.cells import load_cells

    factory.write("mean", setting=setting)
    cells, _ = load_cells([factory.root])
    assert read_scores(cells, "ndcg@50") is None
    with pytest.raises(
        LeaderboardError, match="not scored at ndcg@7; its metrics are recall, ndcg, mrr at 10"
    ):
        read_scores(cells, "ndcg@7")


def test_the_same_cell_in_two_directories_counts_once(factory: Any, tmp_path: Path) -> None:
    factory.write("mean")
    factory.write("gti")
    factory.write("mean", root=tmp_path / "committed")
    board = only_board(factory.root, tmp_path / "committed")
    assert len(board.row("mean").paths) == 1
    factory.write("mean", root=tmp_path / "committed", skill=0.9)
    found = load_leaderboards([factory.root, tmp_path / "committed"])
    assert any("same cell with different ranks" in note for note in found.notes)
    assert str(factory.root) in str(found.boards[0].row("mean").paths[0])


def test_own_and_committed_seeds_stand_on_one_board(factory: Any, tmp_path: Path) -> None:
    factory.write("mean", 0)
    factory.write("mean", 1, root=tmp_path / "committed")
    assert sorted(only_board(factory.root, tmp_path / "committed").row("mean").paths) == [0, 1]


def test_two_settings_are_two_boards(factory: Any, toy_setting: Any) -> None:
    factory.write("mean")
    factory.write("mean", setting=toy_setting(name="other"))
    found = load_leaderboards([factory.root])
    assert [board.setting.name for board in found.boards] == ["other", "toy"]
    assert len(load_leaderboards([factory.root], setting="toy").boards) == 1


def test_two_versions_of_a_method_are_refused(factory: Any) -> None:
    factory.write("gti", 0)
    factory.write("gti", 1, version=2)
    (line,) = load_leaderboards([factory.root]).refused
    assert "method 'gti' differs" in line
    assert "seed-0.json" in line
    assert "seed-1.json" in line


def test_other_users_under_one_setting_are_refused(factory: Any) -> None:
    factory.write("mean")
    factory.write("gti", users=50)
    (line,) = load_leaderboards([factory.root]).refused
    assert "50" in line
    assert "60" in line


def test_other_targets_for_as_many_users_are_refused(factory: Any) -> None:
    factory.write("mean")
    path = factory.write("gti")
    ranks = read_ranks(ranks_path(path))
    give_ranks(path, dataclasses.replace(ranks, item=np.full(len(ranks), "x")))
    (line,) = load_leaderboards([factory.root]).refused
    assert "different users or targets" in line


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_text("{"), "not valid JSON"),
        (
            lambda p: p.write_text(p.read_text().replace('"machine": "toy"', '"machine": "x"')),
            "digest",
        ),
        (lambda p: ranks_path(p).unlink(), "cannot read ranks"),
        (lambda p: ranks_path(p).write_bytes(b"PAR1"), "not the file its record names"),
    ],
)
def test_a_damaged_cell_is_left_out_with_a_note(factory: Any, damage: Any, message: str) -> None:
    factory.write("mean")
    path = factory.write("gti")
    damage(path)
    found = load_leaderboards([factory.root])
    assert [row.key for row in found.boards[0].rows] == ["mean"]
    (note,) = found.notes
    assert "gti" in note
    assert message in note


def test_another_protocol_is_left_out_with_a_note(factory: Any) -> None:
    factory.write("mean")
    factory.write("gti", protocol="0")
    found = load_leaderboards([factory.root])
    assert [row.key for row in found.boards[0].rows] == ["mean"]
    assert "scores of two protocols never mix" in found.notes[0]


def test_no_records_make_no_board(tmp_path: Path) -> None:
    found = load_leaderboards([tmp_path / "nothing"])
    assert found.boards == found.notes == found.refused == ()


def test_an_unknown_method_is_named_with_those_there_are(whole_board: Path) -> None:
    with pytest.raises(LeaderboardError, match="no method 'gtl' on board toy"):
        only_board(whole_board).row("gtl")


def test_a_record_in_another_settings_folder_is_left_out_with_a_note(factory: Any) -> None:
    factory.write("mean")
    path = factory.write("gti")
    stray = factory.root / "other" / "gti"
    stray.parent.mkdir()
    path.parent.rename(stray)
    found = load_leaderboards([factory.root])
    assert [row.key for row in found.boards[0].rows] == ["mean"]
    (note,) = found.notes
    assert note == (
        f"left out: {stray / path.name}: a record of setting 'toy' in the folder 'other'; move it"
        " to toy/gti/"
    )


def test_one_settings_board_does_not_read_the_others_records(
    factory: Any, toy_setting: Any
) -> None:
    factory.write("mean")
    damaged = factory.write("mean", setting=toy_setting(name="other"))
    damaged.write_text("{")
    found = load_leaderboards([factory.root], setting="toy")
    assert ([board.setting.name for board in found.boards], found.notes) == (["toy"], ())
    assert len(load_leaderboards([factory.root]).notes) == 1


def test_the_order_of_a_cells_rows_does_not_matter(factory: Any) -> None:
    before = load_leaderboards([factory.board(("mean", "gti"))], "ndcg@10").boards[0]
    path = factory.root / "toy" / "gti" / "seed-1.json"
    give_ranks(path, reordered(read_ranks(ranks_path(path))))
    after = load_leaderboards([factory.root], "ndcg@10").boards[0]
    assert [row.score for row in after.rows] == [row.score for row in before.rows]
    assert [row.difference for row in after.rows] == [row.difference for row in before.rows]


def test_what_another_process_makes_of_a_setting_arrives_whole(
    factory: Any, toy_setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.write("mean")
    factory.write("gti")
    factory.write("mean", setting=toy_setting(name="other"))

    def there_and_back(work: Any, tasks: Any, processes: int) -> Any:
        assert processes == 4
        for task in tasks:
            yield ForkingPickler.loads(
                ForkingPickler.dumps(work(ForkingPickler.loads(ForkingPickler.dumps(task))))
            )

    alone = load_leaderboards([factory.root])
    monkeypatch.setattr("leaderboard.board.board.share", there_and_back)
    monkeypatch.setattr("leaderboard.board.board.MANY_RECORDS", 3)
    assert load_leaderboards([factory.root], processes=4) == alone
    assert [board.setting.name for board in alone.boards] == ["other", "toy"]
