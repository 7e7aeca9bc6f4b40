"""Figures: all are drawn, the same each time, and they say what the records say."""

from pathlib import Path
from typing import Any

import pytest

from leaderboard.figures import palette
from leaderboard.figures.files import draw_all, draw_cosines, draw_rsa, draw_spectra, ordered
from leaderboard.records.cells import load_cells
from leaderboard.render.numbers import STAGE_NAMES

NAMES = ["cosines-grounding", "cosines-init", "cosines-sft", "learning-curves", "rsa", "spectra"]


def test_every_figure_is_drawn_as_svg_and_png_and_equal_records_give_equal_bytes(
    factory: Any, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    factory.board(methods=("mean", "gti", "popularity"), seeds=(0,))
    cells, _ = load_cells([factory.root])
    first = draw_all(cells, tmp_path / "one")
    second = draw_all(list(reversed(cells)), tmp_path / "two")
    assert sorted(p.name for p in first) == sorted(
        f"{n}.{k}" for n in NAMES for k in ("png", "svg")
    )
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
        assert b"T00:" not in one.read_bytes()


def test_cosines_share_one_scale_and_mark_each_level(whole_board: Path) -> None:
    pytest.importorskip("matplotlib")
    cells, _ = load_cells([whole_board])
    figure = draw_cosines(ordered(cells), "sft")
    panels = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in panels] == [
        f"{key} (seed 0)" for key in ("mean", "random", "gti", "lc_rec")
    ]
    assert {axis.images[0].get_clim() for axis in panels} == {(-1, 1)}
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["text", "L1", "L2"]


def test_spectra_say_where_all_rows_are_alike(whole_board: Path) -> None:
    pytest.importorskip("matplotlib")
    cells, _ = load_cells([whole_board])
    figure = draw_spectra(ordered(cells))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["mean (rank 1)", "random", "gti (rank 1)", "lc_rec (rank 1)"]
    assert [axis.get_title() for axis in figure.axes] == list(STAGE_NAMES.values())


def test_rsa_bars_stand_only_for_methods_that_have_the_stage(whole_board: Path) -> None:
    pytest.importorskip("matplotlib")
    cells, _ = load_cells([whole_board])
    figure = draw_rsa(ordered(cells))
    bars = [[bar.get_height() for bar in axis.patches] for axis in figure.axes]
    grounded = [c.record.diagnostics["grounding"] for c in cells if c.record.method.key == "gti"]
    found = [[n.rsa_spearman, *n.rsa_spearman_per_level] for n in grounded]
    assert bars[1] == pytest.approx([sum(seeds) / 3 for seeds in zip(*found, strict=True)])
    assert len(bars[0]) == 3  # of `random` alone: the other methods' first rows are all alike
    assert len(bars[2]) == 4 * 3


def test_records_without_diagnostics_draw_nothing(factory: Any, tmp_path: Path) -> None:
    factory.write("popularity")
    cells, _ = load_cells([factory.root])
    assert draw_all(cells, tmp_path) == []


def test_known_methods_look_unlike_each_other_and_unknown_ones_are_stable() -> None:
    keys = ["mean", "random", "gti", "lc_rec", "gti_shuffled", "codebook", "gti_two_phase"]
    assert len({palette.method_look(key) for key in keys}) == len(keys)
    assert len({palette.method_look(key).color for key in keys[:4]}) == 4
    assert palette.method_look("new_one") == palette.method_look("new_one")
