"""Comparisons of two methods: pairing, verdicts, slices, references, and exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.settings import QUERIES
from leaderboard.board.compare import compare
from leaderboard.metrics.metrics import per_user, slice_masks
from leaderboard.records.cells import LeaderboardError
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, record_path
from leaderboard.render.comparison import comparison_json, comparison_lines, sentence
from leaderboard.statistics.corrections import holm
from leaderboard.statistics.crossed import estimate, mean_squares, smallest_difference


def scores_of(root: Path, method: str, seeds: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    paths = [record_path(root, "toy", method, seed) for seed in seeds]
    return np.stack(
        [per_user(read_ranks(ranks_path(p)).of_split("test"), "ndcg@10")[1] for p in paths]
    )


def compared(root: Path, a: str, b: str, metric: str = "ndcg@10") -> Any:
    found, left_out = compare([[root]], "toy", a, b, metric)
    assert left_out == []
    return found


@pytest.fixture
def clear(factory: Any) -> Path:
    """Four hundred users on whom gti is plainly better than mean, and random much like mean."""
    root: Path = factory.board({"mean": 0.2, "random": 0.2, "gti": 0.7}, users=400)
    return root


def test_the_difference_is_that_of_the_crossed_model(whole_board: Path) -> None:
    found = compared(whole_board, "gti", "mean")
    gti, mean = scores_of(whole_board, "gti"), scores_of(whole_board, "mean")
    assert found.estimate == estimate(gti - mean)
    assert found.estimate.scope == "seeds and users"
    assert (found.a_mean, found.b_mean) == pytest.approx((gti.mean(), mean.mean()))
    assert found.smallest == smallest_difference(mean_squares(gti - mean))
    assert [each.seed for each in found.by_seed] == [0, 1, 2]
    for each, one, two in zip(found.by_seed, gti, mean, strict=True):
        assert (each.a, each.b) == pytest.approx((one.mean(), two.mean()))
        assert each.difference == pytest.approx(each.a - each.b)
    assert len(found.paths) == 6


def test_swapping_the_sides_swaps_the_verdict(clear: Path) -> None:
    one, two = compared(clear, "gti", "mean"), compared(clear, "mean", "gti")
    assert (one.verdict, two.verdict) == ("a better", "b better")
    assert one.estimate.mean == pytest.approx(-two.estimate.mean)
    assert one.estimate.p == pytest.approx(two.estimate.p)
    assert sentence(one).startswith("gti is better than mean: gti − mean = +.")
    assert sentence(two).startswith("gti is better than mean: mean − gti = -.")


def test_no_difference_says_what_could_have_been_seen(clear: Path) -> None:
    found = compared(clear, "random", "mean")
    assert found.verdict == "not shown"
    assert "No difference between random and mean can be shown: " in sentence(found)
    assert "3 seeds × 400 users. The smallest difference that could be seen is about ." in sentence(
        found
    )


def test_each_slice_is_the_difference_of_its_users(whole_board: Path) -> None:
    found = compared(whole_board, "gti", "mean")
    difference = scores_of(whole_board, "gti") - scores_of(whole_board, "mean")
    ranks = read_ranks(ranks_path(record_path(whole_board, "toy", "gti", 0))).of_split("test")
    order = np.argsort(ranks.user)
    by_name = {each.name: each for each in found.slices}
    for name, mask in slice_masks(ranks).items():
        if mask.sum() > 1:
            assert by_name[name].estimate == estimate(difference[:, mask[order]])
        else:
            assert name not in by_name
    assert [each.p for each in found.slices] == holm([each.estimate.p for each in found.slices])


def test_one_common_seed_is_conditional_on_it_and_says_so(factory: Any) -> None:
    factory.board(("mean",), seeds=(0, 1))
    factory.write("random", 1)
    found = compared(factory.root, "random", "mean")
    assert [each.seed for each in found.by_seed] == [1]
    assert found.estimate.scope == "conditional on one seed"
    assert found.notes == ("mean has seed 0 too, which the other side lacks: unused",)
    assert len(found.paths) == 2
    text = "\n".join(comparison_lines(found))
    assert "given that one seed: it says nothing about another" in text


def test_a_reference_without_seeds_is_set_against_every_seed(whole_board: Path) -> None:
    found = compared(whole_board, "popularity", "gti")
    expected = scores_of(whole_board, "popularity", (0,)) - scores_of(whole_board, "gti")
    assert found.estimate == estimate(expected)
    assert [each.seed for each in found.by_seed] == [0, 1, 2]
    assert found.notes == ()


def test_two_references_without_seeds_vary_over_users_alone(whole_board: Path) -> None:
    found = compared(whole_board, "markov", "popularity")
    assert [each.seed for each in found.by_seed] == [None]
    text = "\n".join(comparison_lines(found))
    assert "over users; neither side has seeds" in text
    assert "60 users" in text
    assert "1 seed" not in text


FIT = {
    "known_at": "test",
    "knows": "all before the target",
    "rows": 10,
    "trainable_parameters": 100,
    "epochs": 1,
    "best_epoch": 1,
    "validation_ndcg10": [0.1],
    "train_loss": [1.0],
    "seconds": 1.0,
}


def test_a_trained_reference_of_one_run_is_taken_as_given_and_says_so(factory: Any) -> None:
    factory.board(("gti",), seeds=(0, 1))
    factory.write("popularity", 0, fits=[FIT])
    (note,) = compared(factory.root, "popularity", "gti").notes
    assert note.startswith("popularity is trained, and its one run is taken as given")


def test_a_trained_reference_of_several_runs_is_paired_so_that_its_runs_count(factory: Any) -> None:
    for seed in (0, 1, 2):
        factory.write("gti", seed)
        factory.write("popularity", seed, fits=[FIT])
    found = compared(factory.root, "popularity", "gti")
    both = [scores_of(factory.root, key) for key in ("popularity", "gti")]
    assert found.estimate == estimate(both[0] - both[1])
    assert found.notes == ()


def test_an_under_trained_side_is_named(factory: Any) -> None:
    factory.board({"popularity": 0.9, "mean": 0.1, "random": 0.1}, seeds=(0, 1))
    notes = compared(factory.root, "random", "mean").notes
    assert [note.split(" (")[0] for note in notes] == [
        "random is under-trained at seeds 0, 1",
        "mean is under-trained at seeds 0, 1",
    ]


def test_sides_that_are_no_contrast_are_told_so(factory: Any) -> None:
    factory.write("mean")
    factory.write("random", parameters={"sft_learning_rate": 0.002})
    found = compared(factory.root, "random", "mean")
    assert found.verdict == "no verdict"
    assert found.obstacles == ("SFT rate differs (0.002 against 0.001)",)


def test_of_a_loss_the_lower_side_is_better_and_references_have_none(
    factory: Any, give_nll: Any, capsys: Any
) -> None:
    for seed in range(3):
        give_nll(factory.write("mean", seed, users=200))
        give_nll(factory.write("random", seed, users=200), shift=-0.5)
    factory.write("popularity", users=200)
    found = compared(factory.root, "random", "mean", metric="trie_nll")
    assert found.estimate.mean == pytest.approx(-0.5, abs=0.1)
    assert found.verdict == "a better"
    words = ["--setting", "toy", "--results", str(factory.root), "--metric", "trie_nll"]
    assert exit_code(["compare", "random", "mean", *words]) == 10
    assert exit_code(["compare", "mean", "random", *words]) == 11
    assert "less is better" in capsys.readouterr().out
    assert exit_code(["compare", "random", "popularity", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "trie_nll of setting toy is null" in line


def test_own_records_stand_alone_where_both_sides_are_there(factory: Any, tmp_path: Path) -> None:
    committed = tmp_path / "committed"
    for seed in (0, 1):
        factory.write("mean", seed, root=committed)
    factory.write("mean", 0)
    factory.write("gti", 0)
    sources = [[factory.root], [factory.root, committed]]
    found, _ = compare(sources, "toy", "gti", "mean")
    assert {path.parent.parent.parent for path in found.paths} == {factory.root}
    factory.write("random", 0, root=committed)
    found, _ = compare(sources, "toy", "gti", "random")
    assert {path.parent.parent.parent for path in found.paths} == {factory.root, committed}


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("gti", "gti", "'gti' against itself"),
        ("gtl", "mean", "no record of 'gtl' in setting toy; it has gti, lc_rec, markov, mean"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(
    whole_board: Path, a: str, b: str, message: str
) -> None:
    with pytest.raises(LeaderboardError, match=message):
        compare([[whole_board]], "toy", a, b)


def test_no_common_seed_names_the_seeds(factory: Any) -> None:
    factory.write("mean", 0)
    factory.write("gti", 1)
    with pytest.raises(LeaderboardError, match="gti has seed 1, mean has seed 0"):
        compare([[factory.root]], "toy", "gti", "mean")


def test_versions_of_a_setting_do_not_mix(factory: Any, toy_setting: Any) -> None:
    factory.write("mean")
    factory.write("gti", setting=toy_setting(decoding={"beam": 21}))
    with pytest.raises(LeaderboardError, match="different versions of setting toy"):
        compare([[factory.root]], "toy", "gti", "mean")


def test_other_users_on_one_side_are_refused(factory: Any) -> None:
    factory.write("mean")
    factory.write("gti", users=50)
    with pytest.raises(LeaderboardError, match="50"):
        compare([[factory.root]], "toy", "gti", "mean")


def test_the_retrieval_track_compares_queries(factory: Any, toy_setting: Any) -> None:
    factory.setting = toy_setting(**QUERIES)
    factory.board(("mean", "gti"), seeds=(0, 1), users=20)
    found = compared(factory.root, "gti", "mean", "precision_any@5")
    assert [each.name for each in found.slices] == ["queries:category", "queries:item"]
    assert found.estimate.num_users == 20
    text = "\n".join(comparison_lines(found))
    assert "2 seeds × 20 queries" in text
    assert "3 relevant items per query" in text
    with pytest.raises(LeaderboardError, match="not scored at recall@3"):
        compare([[factory.root]], "toy", "gti", "mean", "recall@3")


def test_json_holds_every_digit(whole_board: Path) -> None:
    found = compared(whole_board, "gti", "mean")
    content = json.loads(comparison_json(found, ["left out: x"]))
    assert content["difference"]["mean"] == found.estimate.mean
    assert content["difference"]["p"] == found.estimate.p
    assert content["by_seed"][1]["difference"] == found.by_seed[1].difference
    assert content["slices"][0]["estimate"]["low"] == found.slices[0].estimate.low
    assert content["verdict"] == found.verdict
    assert content["left_out"] == ["left out: x"]


def test_exit_codes_tell_who_is_better(clear: Path, capsys: Any) -> None:
    def code(*arguments: str) -> int:
        return exit_code(["compare", *arguments, "--setting", "toy", "--results", str(clear)])

    assert code("gti", "mean") == 10
    assert code("mean", "gti") == 11
    assert code("random", "mean") == 0
    assert code("random", "mean", "--json") == 0
    capsys.readouterr()
    assert code("gti", "mean", "--metric", "ndcg@ten") == 2
    assert code("gti", "gti") == 2
    assert code("gti", "gtl") == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "unknown metric 'ndcg@ten'" in errors[0]
