"""What a board says in short, on boards whose verdicts are set by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.by_hand import card_by_hand
from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.figures.palette import Palette
from leaderboard.site.board_figures import MOST_DRAWN, drawn_methods
from leaderboard.site.summary import glance


@pytest.fixture(scope="module")
def board(whole_board: Path) -> Leaderboard:
    return load_leaderboards([whole_board]).boards[0]


def judged(board: Leaderboard, key: str, verdict: Any, seeds: int = 3) -> Leaderboard:
    """`board` with the verdict on `key` as if it had been found at so many seeds."""
    rows = []
    for row in board.rows:
        if row.key == key and row.difference is not None:
            scope: Any = "seeds and users" if seeds > 1 else "conditional on one seed"
            found = replace(row.difference.estimate, num_seeds=seeds, scope=scope)
            row = replace(row, difference=replace(row.difference, estimate=found, verdict=verdict))
        rows.append(row)
    return replace(board, rows=tuple(rows))


def none_shown(board: Leaderboard) -> Leaderboard:
    for key in ("gti", "random", "lc_rec"):
        board = judged(board, key, "not shown")
    return board


def test_it_counts_what_can_be_shown(board: Leaderboard) -> None:
    nothing = none_shown(board)
    assert glance(nothing).shown == "By ndcg@10, none of 3 differences from mean can be shown."
    assert not glance(nothing).any_shown
    both = judged(judged(nothing, "gti", "better"), "lc_rec", "worse")
    assert glance(both).any_shown
    assert glance(both).shown.startswith("By ndcg@10, 2 of 3 differences from mean can be shown (")
    assert "better: gti" in glance(both).shown
    assert "worse: lc_rec" in glance(both).shown


def test_one_seed_alone_shows_nothing_over_seeds(board: Leaderboard) -> None:
    alone = judged(none_shown(board), "gti", "better", seeds=1)
    assert not glance(alone).any_shown
    assert glance(alone).shown == (
        "By ndcg@10, none of 3 differences from mean can be shown over seeds; 1 at one seed alone"
        " (gti), which says nothing about another seed."
    )


@pytest.mark.parametrize(
    ("ties", "said"),
    [
        (("a", "a", "a", "a"), "; no other method can be told apart from it"),
        (("a", "ab", "b", "b"), "; 1 of 3 others cannot be told apart from it"),
        (("a", "b", "b", "b"), "; it can be told apart from every other method"),
    ],
)
def test_it_says_who_cannot_be_told_apart_from_the_leader(
    board: Leaderboard, ties: tuple[str, ...], said: str
) -> None:
    letters = iter(ties)
    rows = [replace(r, ties=next(letters)) if r.kind == "cell" else r for r in board.rows]
    found = glance(replace(board, rows=tuple(rows)))
    assert found.leader == next(row.key for row in board.rows if row.kind == "cell")
    assert said in found.lead


def test_a_reference_never_leads_but_is_told_where_it_stands_above(board: Leaderboard) -> None:
    references = [row for row in board.rows if row.kind == "reference"]
    methods = [row for row in board.rows if row.kind == "cell"]
    above = glance(replace(board, rows=(references[0], *methods, references[1])))
    assert above.leader == methods[0].key
    assert f"Above it: {references[0].key} (reference)" in above.lead
    assert "Above it" not in glance(replace(board, rows=(*methods, *references))).lead
    alone = glance(replace(board, rows=tuple(references)))
    assert alone.lead == "No method has a record yet; there are references only."
    assert alone.shown == "Nothing to compare with mean yet."


def test_states_are_counted_and_weak_methods_named(board: Leaderboard) -> None:
    rows = list(board.rows)
    rows[0] = replace(rows[0], standing=replace(rows[0].standing, verified=rows[0].standing.seeds))
    place = next(i for i, row in enumerate(rows) if row.key == "lc_rec")
    rows[place] = replace(rows[place], under_trained=(0,))
    found = glance(replace(board, rows=tuple(rows)))
    assert found.standing == "1 row verified, 5 rows claimed"
    assert found.weak == "1 under-trained, no claim: lc_rec."


def test_figures_hold_the_best_methods_and_always_mean(board: Leaderboard) -> None:
    gti = board.row("gti")
    many = [replace(gti, key=f"m{i:02d}") for i in range(30)]
    palette = Palette(card_by_hand(row.key) for row in (*many, board.row("mean")))
    rows = (*many, board.row("mean"), board.row("markov"))
    kept = drawn_methods(replace(board, rows=rows), palette)
    assert len(kept) == MOST_DRAWN
    assert set(kept) == {"mean", *(f"m{i:02d}" for i in range(MOST_DRAWN - 1))}
