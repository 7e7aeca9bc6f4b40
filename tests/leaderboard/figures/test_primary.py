"""The figure of the primary contrasts says what the tests say; the README's is the records'."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.figures.primary import draw_primary, primary_contrasts
from leaderboard.figures.render import Figure

ROOT = Path(__file__).resolve().parents[3]
SHIFTS = {"mean": 0.0, "random": -0.5, "gaussian": 0.01}
Board = Callable[..., Leaderboard]


@pytest.fixture
def board(factory: Any, toy_setting: Any, give_nll: Any) -> Board:
    """A board by NLL that declares what random and gaussian are against mean."""

    def make(*declared: str, seeds: int = 3) -> Leaderboard:
        contrasts = [{"a": a, "b": "mean", "claim": f"{a} it is"} for a in declared]
        primary = {"outcome": "trie_nll", "margin": 0.2, "rule": "fixed order"}
        setting = toy_setting(primary=primary | {"contrasts": contrasts}) if declared else None
        for key, shift in SHIFTS.items():
            for seed in range(seeds):
                give_nll(factory.write(key, seed, **({"setting": setting} if setting else {}),
                                       users=300), shift)  # fmt: skip
        (made,) = load_leaderboards([factory.root], "trie_nll").boards
        return made

    return make


def drawn(found: Leaderboard) -> Figure:
    assert found.family.decided is not None
    figure = primary_contrasts(found.family.decided)
    assert figure is not None
    return figure


def test_each_contrast_is_drawn_as_it_was_tested(board: Board) -> None:
    found = board("random", "gaussian")
    (rows,) = drawn(found).data.values()
    assert [row["pair"] for row in rows] == ["random − mean", "gaussian − mean"]
    assert [row["claim"] for row in rows] == ["random it is", "gaussian it is"]
    assert [row["verdict"] for row in rows] == ["better", "equal within ±.2"]
    assert rows[0]["color"] != rows[1]["color"]
    assert found.family.decided is not None
    for row, each in zip(rows, found.family.decided.decisions, strict=True):
        assert each.tested is not None
        estimate = each.tested.estimate
        assert (row["mean"], row["low"], row["high"]) == (
            estimate.mean, estimate.low, estimate.high,
        )  # fmt: skip


def test_what_has_no_records_is_left_out_and_one_seed_has_no_verdict(board: Board) -> None:
    figure = drawn(board("lc_rec", "random", seeds=1))
    (rows,) = figure.data.values()
    assert [row["pair"] for row in rows] == ["random − mean"]
    assert rows[0]["verdict"] == "one seed: no verdict"


def test_nothing_is_drawn_where_nothing_is_declared(board: Board, tmp_path: Path) -> None:
    assert draw_primary(board(), tmp_path / "out") == []
    assert not (tmp_path / "out").exists()


def test_the_words_of_a_file_are_those_of_the_verdicts(board: Board, tmp_path: Path) -> None:
    found = board("random", "gaussian")
    svg = draw_primary(found, tmp_path)[0].read_text(encoding="utf-8")
    for text in ("random − mean", "better", "equal within ±.2", "toy · seeds 0, 1, 2"):
        assert text in svg
    assert draw_primary(found, tmp_path / "again")[0].read_text(encoding="utf-8") == svg


def test_the_figure_in_the_docs_is_that_of_the_committed_records(tmp_path: Path) -> None:
    name = "ml-100k-search-smollm2"
    results = [ROOT / "leaderboard" / "results"]
    (found,) = load_leaderboards(results, "peer_auc", setting=name).boards
    (svg, *_) = draw_primary(found, tmp_path, name)
    assert svg.read_bytes() == (ROOT / "docs" / "figures" / svg.name).read_bytes()
