"""Primary contrasts: order, outcome and slices as declared, verdicts, the gate before the rest."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cli.app import exit_code
from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.board.contrasts import Answers, load_contrasts
from leaderboard.board.primary import Decided
from leaderboard.metrics.metrics import per_user, slice_masks
from leaderboard.records.cells import LeaderboardError
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, record_path
from leaderboard.render.board_tables import render
from leaderboard.render.contrasts import contrast_lines, contrasts_json, verdict
from leaderboard.render.numbers import p_value, signed
from leaderboard.render.writers import latex_text
from leaderboard.statistics.corrections import holm
from leaderboard.statistics.crossed import estimate, mean_squares
from leaderboard.statistics.equivalence import equivalence_p

Write = Callable[..., Path]


def declared(*pairs: tuple[str, str], margin: float = 0.05, **changes: Any) -> dict[str, Any]:
    """The table `primary` of a setting."""
    contrasts = [{"a": a, "b": b, "claim": f"{a} beats {b}"} for a, b in pairs]
    usual = {"outcome": "trie_nll", "margin": margin, "rule": "fixed order"}
    return {**usual, "contrasts": contrasts, **changes}


@pytest.fixture
def write(factory: Any, toy_setting: Any, give_nll: Any) -> Write:
    """Writes methods of so much NLL more than others at three seeds, under what is declared."""

    def make(
        primary: dict[str, Any], shifts: Mapping[str, float], seeds: int = 3, **changes: Any
    ) -> Path:
        setting = toy_setting(primary=primary)
        for key, shift in shifts.items():
            for seed in range(seeds):
                path = factory.write(key, seed, setting=setting, users=300, **changes)
                give_nll(path, shift)
        root: Path = factory.root
        return root

    return make


def answers(root: Path, metric: str | None = None) -> tuple[Answers, Decided]:
    found, _ = load_contrasts([[root]], "toy", metric)
    assert found.decided is not None
    return found, found.decided


def values(root: Path, key: str, seeds: int = 3, metric: str = "trie_nll") -> Any:
    paths = [record_path(root, "toy", key, seed) for seed in range(seeds)]
    return np.stack(
        [per_user(read_ranks(ranks_path(p)).of_split("test"), metric)[1] for p in paths]
    )


def one_board(root: Path, metric: str = "ndcg@10") -> Leaderboard:
    (board,) = load_leaderboards([root], metric).boards
    return board


SHIFTS = {"mean": 0.0, "random": -0.5, "lc_rec": 0.0, "gaussian": 0.5}


def test_verdicts_are_better_worse_equal_and_open_with_the_sign_of_a_loss(write: Write) -> None:
    pairs = [("random", "mean"), ("gaussian", "mean"), ("lc_rec", "mean")]
    found, decided = answers(write(declared(*pairs, margin=0.2), SHIFTS))
    assert [each.verdict for each in decided.decisions] == ["better", "worse", "equal"]
    assert found.metric == "trie_nll"
    assert "equal within ±.2" in "\n".join(contrast_lines(found))
    decisions = decided.decisions
    assert all(each.tested is not None for each in decisions)
    assert decisions[0].tested is not None
    assert decisions[0].tested.estimate.mean < -0.3


def test_a_small_difference_is_open_where_the_margin_is_smaller_than_what_can_be_seen(
    write: Write,
) -> None:
    root = write(declared(("lc_rec", "mean"), margin=0.001), SHIFTS)
    (decision,) = answers(root)[1].decisions
    matrix = values(root, "lc_rec") - values(root, "mean")
    p = equivalence_p(float(matrix.mean()), mean_squares(matrix), 0.001)
    assert p is not None
    assert p > 0.05
    assert decision.verdict == "open"


def test_in_fixed_order_nothing_after_the_first_that_is_not_shown_is(write: Write) -> None:
    pairs = [("random", "mean"), ("lc_rec", "mean"), ("gaussian", "mean")]
    root = write(declared(*pairs), SHIFTS)
    _, decided = answers(root)
    raw = [estimate(values(root, a) - values(root, b)).p for a, b in pairs]
    assert decided.raw == tuple(raw)
    p = [each.tested.p for each in decided.decisions if each.tested is not None]
    assert p == [raw[0], raw[1], raw[1]]
    assert raw[1] > 0.05 > raw[2]
    assert [each.verdict for each in decided.decisions][::2] == ["better", "open"]
    assert not decided.open


def test_under_holm_p_is_corrected_over_the_primary_contrasts_alone(write: Write) -> None:
    pairs = [("lc_rec", "mean"), ("random", "mean"), ("gaussian", "mean")]
    root = write(declared(*pairs, rule="holm"), SHIFTS)
    _, decided = answers(root)
    raw = [estimate(values(root, a) - values(root, b)).p for a, b in pairs]
    p = [each.tested.p for each in decided.decisions if each.tested is not None]
    assert p == holm(raw)
    assert [each.verdict for each in decided.decisions][1:] == ["better", "worse"]


def test_behind_a_shut_gate_nothing_secondary_is_claimed_anywhere(write: Write) -> None:
    root = write(declared(("lc_rec", "mean")), SHIFTS)
    found, decided = answers(root)
    assert not decided.open
    (other,) = [each for each in found.answers if each.contrast.a == "random"]
    assert (other.p, verdict(other)) == (None, "not claimed (secondary)")
    board = one_board(root, "trie_nll")
    for key in ("random", "gaussian"):
        difference = board.row(key).difference
        assert difference is not None
        assert (difference.p, difference.verdict) == (None, "not claimed")
        assert difference.estimate.p is not None
        assert difference.estimate.p < 0.01
    assert {row.ties for row in board.rows if row.kind == "cell"} == {"a"}
    text = " ".join(render(board).split())
    assert "Not every primary contrast is shown: no secondary difference is claimed." in text


def test_behind_an_open_gate_the_rest_is_one_family_on_board_and_contrasts(write: Write) -> None:
    root = write(declared(("random", "mean")), SHIFTS)
    found, decided = answers(root)
    assert decided.open
    board = one_board(root, "trie_nll")
    # The primary pair is the same test on the board, and is not tested a second time.
    primary = board.row("random").difference
    assert primary is not None
    assert decided.decisions[0].tested is not None
    assert primary.p == decided.decisions[0].tested.p == decided.raw[0]
    pairs = [("gaussian", "mean"), ("lc_rec", "mean")]
    others = holm([estimate(values(root, a) - values(root, b)).p for a, b in pairs])
    shown = [board.row(key).difference for key, _ in pairs]
    assert [each.p for each in shown if each] == [max(p, decided.raw[0]) for p in others if p]
    assert found.family.size == board.family.size == 2
    by_pair = {(each.contrast.a, each.contrast.b): each.p for each in found.answers}
    for key, base in pairs:
        difference = board.row(key).difference
        assert difference is not None
        assert by_pair.get((key, base), difference.p) == difference.p
    assert board.rows[0].key == "random"
    assert board.row("gaussian").difference.verdict == "worse"  # type: ignore[union-attr]
    assert board.row("random").difference.verdict == "better"  # type: ignore[union-attr]


def test_on_another_metric_the_primary_pair_is_a_secondary_test_as_well(write: Write) -> None:
    root = write(declared(("random", "mean")), SHIFTS)
    found, decided = answers(root, "ndcg@10")
    assert decided.spec.outcome == "trie_nll"
    assert found.family.size == 3
    random = found.family.of("random", "mean")
    assert random is not None
    assert random.role == "secondary"
    turned = found.family.of("mean", "random")
    assert turned is not None
    assert turned.estimate.mean == -random.estimate.mean
    assert turned.estimate.low == -(random.estimate.high or 0)
    assert turned.p == random.p


def test_slices_are_taken_together(write: Write) -> None:
    primary = declared(("random", "mean"))
    primary["contrasts"][0]["on"] = ("history:short", "history:long")
    root = write(primary, SHIFTS)
    _, decided = answers(root)
    ranks = read_ranks(ranks_path(record_path(root, "toy", "mean", 0))).of_split("test")
    masks = slice_masks(ranks)
    inside = (masks["history:short"] | masks["history:long"])[np.argsort(ranks.user)]
    assert 0 < inside.sum() < len(inside)
    expected = estimate((values(root, "random") - values(root, "mean"))[:, inside])
    assert decided.decisions[0].tested is not None
    own = decided.decisions[0].tested.estimate
    assert (own.mean, own.num_users) == (pytest.approx(expected.mean), expected.num_users)
    assert (own.low, own.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    # Of all users it is another difference, and secondary.
    difference = one_board(root, "trie_nll").row("random").difference
    assert difference is not None
    assert difference.estimate == estimate(values(root, "random") - values(root, "mean"))
    (sliced,) = load_leaderboards([root], "trie_nll", slice_name="history:short").boards
    assert sliced.family.decided == decided


def test_an_unknown_slice_is_one_line(write: Write, capsys: Any) -> None:
    primary = declared(("random", "mean"))
    primary["contrasts"][0]["on"] = ("history:huge",)
    root = write(primary, {"mean": 0.0, "random": 0.0}, seeds=2)
    assert exit_code(["contrasts", "toy", "--results", str(root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "random − mean: setting toy has no slice 'history:huge'; it has " in line
    assert "history:short" in line


def test_a_method_without_records_or_one_seed_has_no_verdict_and_shuts_the_gate(
    write: Write,
) -> None:
    root = write(declared(("gti", "mean"), ("random", "mean")), SHIFTS)
    found, decided = answers(root)
    text = "\n".join(contrast_lines(found))
    assert decided.decisions[0].obstacles == ("no records of gti",)
    assert "no verdict: no records of gti" in text
    assert decided.decisions[1].verdict == "open"
    assert not decided.open


def test_one_seed_is_told(write: Write) -> None:
    found, decided = answers(write(declared(("random", "mean")), SHIFTS, seeds=1))
    assert decided.raw == (None,)
    assert "one seed: no verdict" in "\n".join(contrast_lines(found))


def test_a_primary_contrast_with_an_obstacle_counts_as_not_shown(
    write: Write, factory: Any, give_nll: Any, toy_setting: Any
) -> None:
    primary = declared(("random", "mean"))
    root = write(primary, {"mean": 0.0, "lc_rec": -0.5})
    for seed in range(3):
        path = factory.write(
            *("random", seed),
            setting=toy_setting(primary=primary),
            users=300,
            parameters={"sft_learning_rate": 0.01},
        )
        give_nll(path, -1.0)
    (decision,) = (decided := answers(root)[1]).decisions
    assert decision.verdict is None
    assert decision.obstacles == ("SFT rate differs (0.01 against 0.001)",)
    assert not decided.open
    assert decision.tested is not None
    assert decision.tested.estimate.p is not None
    assert decision.tested.estimate.p < 0.001
    board = one_board(root, "trie_nll").row("random").difference
    assert board is not None
    assert (board.verdict, board.obstacles) == ("no verdict", decision.obstacles)


def test_all_is_told_in_every_form(write: Write) -> None:
    root = write(declared(("gaussian", "mean"), margin=0.02), SHIFTS)
    found, _ = answers(root)
    lines = contrast_lines(found)
    row = next(line for line in lines if line.startswith("gaussian − mean"))
    for part in ("gaussian beats mean", "±.02", " 3 ", " 300 ", "worse"):
        assert part in row
    assert any("random − mean" in line and "better (secondary)" in line for line in lines)
    content = json.loads(contrasts_json(found))
    assert content["primary"]["contrasts"][0]["verdict"] == "worse"
    assert content["primary"]["contrasts"][0]["seeds"] == [0, 1, 2]
    assert {each["role"] for each in content["contrasts"]} == {"secondary"}
    board = one_board(root)
    content = content["primary"]["contrasts"][0]
    mean, low, high = (signed(content[name]) for name in ("mean", "low", "high"))
    p, figures = p_value(content["p_corrected"]), f"{mean} [{low}, {high}]"
    told = (
        f"Primary 1, trie_nll: gaussian − mean: worse, {figures},"
        f" p {p if p.startswith('<') else '= ' + p} (claim: gaussian beats mean)."
    )
    for form in ("terminal", "md", "brief"):
        assert told in " ".join(render(board, form).split())
    assert latex_text(told) in render(board, "latex")
    assert json.loads(render(board, "json"))["primary"]["all_shown"] is True
    assert "trie_nll" in render(board, "csv").splitlines()[0].split(",")


def test_without_any_pair_it_is_refused_with_what_to_run(write: Write) -> None:
    root = write(declared(("gti", "lc_rec")), {"mean": 0.0})
    with pytest.raises(LeaderboardError, match="--methods all"):
        load_contrasts([[root]], "toy")


def test_a_board_of_a_loss_has_the_lowest_first_and_references_without_a_figure(
    write: Write, factory: Any, toy_setting: Any
) -> None:
    primary = declared(("random", "mean"))
    root = write(primary, SHIFTS)
    factory.write("popularity", setting=toy_setting(primary=primary), users=300)
    board = one_board(root, "trie_nll")
    means = [row.means["trie_nll"] for row in board.rows]
    assert means == [*sorted(mean for mean in means if mean is not None), None]
    assert board.rows[0].key == "random"
    assert board.rows[-1].key == "popularity"
    assert board.rows[-1].score is board.rows[-1].difference is None
    letters = {row.key: row.ties for row in board.rows}
    assert letters["random"] == "a"
    assert letters["gaussian"] == "c"
    assert letters["mean"] == letters["lc_rec"] == "b"
    text = render(board)
    last = next(line for line in text.splitlines() if line.strip().startswith("(popularity)"))
    assert last.split()[1] == "–"
    assert "less is better" in text
    beside = one_board(root)
    assert "trie_nll" in render(beside).splitlines()[3]
