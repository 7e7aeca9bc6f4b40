"""Figures: all are drawn, the same each time, and they say what the records say."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from baselines.registry import methods
from benchmarks.cell.identity import method_card
from benchmarks.perf.honest_records.by_hand import card_by_hand
from leaderboard.figures.diagnose import draw_all
from leaderboard.figures.palette import Palette
from leaderboard.figures.rows import row_figures
from leaderboard.figures.rsa import rsa
from leaderboard.records.cells import Cell, load_cells
from leaderboard.records.diagnostics import read_diagnostics
from leaderboard.records.known_methods import order_of
from leaderboard.records.record import diagnostics_path
from leaderboard.records.setting import MethodParameters
from leaderboard.render.numbers import STAGE_NAMES

NAMES = [
    *("cosines-grounding", "cosines-init", "cosines-sft"),
    *("learning-curves", "pareto-ndcg@10", "rsa", "spectra"),
]


def by_method(root: Path) -> dict[str, list[Cell]]:
    """Method → its cells."""
    grouped: dict[str, list[Cell]] = {}
    for cell in load_cells([root])[0]:
        if cell.record.kind == "cell":
            grouped.setdefault(cell.record.method.key, []).append(cell)
    return {key: grouped[key] for key in palette_of(grouped).ordered(grouped)}


def palette_of(cells: dict[str, list[Cell]]) -> Palette:
    """The palette of the methods that `cells` are of."""
    return Palette.of(cell for own in cells.values() for cell in own)


def texts(path: Path) -> list[str]:
    """The texts of an SVG."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_figure_is_drawn_thrice_and_equal_records_give_equal_bytes(
    factory: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    factory.board(methods=("mean", "gti", "popularity"), seeds=(0,))
    cells, _ = load_cells([factory.root])
    first, problems = draw_all(cells, tmp_path / "one")
    second, _ = draw_all(list(reversed(cells)), tmp_path / "two")
    assert problems == []
    assert sorted(p.name for p in first) == sorted(
        f"{n}.{k}" for n in NAMES for k in ("pdf", "png", "svg")
    )
    starts = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
        assert one.read_bytes().startswith(starts[one.suffix])
        assert not re.search(rb"T00:|CreationDate|20[2-9]\d-", one.read_bytes())
    assert capfd.readouterr().err == ""  # what fails in the engine is told there, and no more


def test_text_stays_text_and_every_stage_and_method_is_named(
    whole_board: Path, tmp_path: Path
) -> None:
    draw_all(load_cells([whole_board])[0], tmp_path)
    keys = {"mean", "random", "gti", "lc_rec"}
    for name in ("spectra", "rsa", "learning-curves"):
        found = set(texts(tmp_path / f"{name}.svg"))
        assert {text.removesuffix(" (rank 1)") for text in found} >= keys, name
        assert name == "learning-curves" or found >= set(STAGE_NAMES.values())
        assert any("toy · seeds 0, 1, 2" in text for text in found)
    found = texts(tmp_path / "cosines-sft.svg")
    assert {f"{key}, seed 0" for key in keys} <= set(found)
    assert [found.count(block) for block in ("text", "L1", "L2")] == [8, 8, 8]


def test_cosines_share_one_scale_that_is_drawn_below_them(
    whole_board: Path, tmp_path: Path
) -> None:
    draw_all(load_cells([whole_board])[0], tmp_path)
    content = (tmp_path / "cosines-sft.svg").read_text(encoding="utf-8")
    assert len(re.findall("<image", content)) == 4
    assert "cosine" in texts(tmp_path / "cosines-sft.svg")
    for color in ("#053061", "#f7f7f7", "#67001f"):
        assert color in content


def test_spectra_are_the_singular_values_over_the_largest_and_say_where_all_rows_are_alike(
    whole_board: Path,
) -> None:
    cells = by_method(whole_board)
    found = row_figures(cells, palette_of(cells))
    assert list(found.spectra) == ["init", "grounding", "sft"]
    rows = {row["method"]: row for rows in found.spectra["init"].data.values() for row in rows}
    assert {row["label"] for row in rows.values()} == {
        "mean (rank 1)", "random", "gti (rank 1)", "lc_rec (rank 1)",
    }  # fmt: skip
    values = read_diagnostics(diagnostics_path(cells["random"][0].path))["init"].singular_values
    assert rows["random"]["y"] == pytest.approx((values / values[0]).tolist(), rel=1e-3)
    assert rows["random"]["x"] == list(range(1, len(values) + 1))


def test_rsa_bars_stand_only_for_methods_that_have_the_stage(whole_board: Path) -> None:
    cells = by_method(whole_board)
    bars = {
        stage: [r for rows in figure.data.values() for r in rows if r["part"] == "bar"]
        for stage, figure in rsa(cells, 2, palette_of(cells)).items()
    }
    grounded = [cell.record.diagnostics["grounding"] for cell in cells["gti"]]
    found = [n.rsa_spearman_per_level for n in grounded]
    means = [sum(seeds) / 3 for seeds in zip(*found, strict=True)]
    assert [row["value"] for row in bars["grounding"]] == pytest.approx(means)
    # Of `random` alone: the other methods' first rows are all alike.
    assert [row["method"] for row in bars["init"]] == ["random"] * 2
    assert len(bars["sft"]) == 4 * 2


def test_records_without_diagnostics_draw_nothing(factory: Any, tmp_path: Path) -> None:
    factory.write("popularity")
    cells, _ = load_cells([factory.root])
    assert draw_all(cells, tmp_path) == ([], [])


def test_diagnostics_that_cannot_be_read_are_told_and_the_rest_is_drawn(
    factory: Any, tmp_path: Path
) -> None:
    factory.board(methods=("mean", "gti"), seeds=(0,))
    cells, _ = load_cells([factory.root])
    (broken,) = [cell.path for cell in cells if cell.record.method.key == "gti"]
    diagnostics_path(broken).write_bytes(b"nothing")
    drawn, problems = draw_all(cells, tmp_path)
    assert drawn
    assert len(problems) == 1
    assert "gti" in problems[0]


def test_no_two_methods_look_alike_and_unknown_ones_are_stable() -> None:
    shipped = (method_card(method, MethodParameters()) for method in methods().values())
    known = sorted(shipped, key=order_of)
    new = card_by_hand("new_one")
    palette = Palette([*known, new])
    keys = [card.key for card in known]
    assert len({palette.look(key) for key in [*keys, "new_one"]}) == len(keys) + 1
    assert len({palette.look(key).color for key in keys[:4]}) == 4
    assert palette.look("new_one") == Palette([new, *reversed(known)]).look("new_one")
    assert palette.ordered(["new_one", *reversed(keys)]) == [*keys, "new_one"]
