"""Curves of a tokenizer: every line is drawn, and equal files give equal pictures."""

import json
from pathlib import Path
from typing import Any

from leaderboard.figures.render import Figure
from leaderboard.figures.tokenizer import draw_tokenizer, tokenizer_curves

DOCS = Path(__file__).parents[3] / "docs" / "figures"


def content(diversity: float | None = 4.5) -> dict[str, Any]:
    """Three points of a run with two levels of eight codes."""
    return {
        "name": "RQ-VAE 2 × 8, seed 0, on cpu",
        "num_codes": 8,
        "curves": {
            "epochs": [0, 1, 10],
            "reconstruction": [1.0, 0.6, 0.3],
            "quantisation": [0.2, 0.1, 0.05],
            "diversity": [diversity] * 3,
            "used_codes": [[8, 8], [4, 6], [7, 8]],
            "perplexity": [[7.5, 7.0], [3.0, 5.0], [6.0, 7.5]],
            "collision_rate": [0.0, 0.4, 0.1],
        },
    }


def rows(figure: Figure) -> dict[str, tuple[list[float], list[float]]]:
    """Label → places and values of a panel's lines."""
    return {row["label"]: (row["x"], row["y"]) for found in figure.data.values() for row in found}


def test_panels_hold_the_curves_and_one_line_per_level() -> None:
    errors, diversity, usage, collisions = map(rows, tokenizer_curves(content()))
    epochs = [0, 1, 10]
    assert errors == {
        "reconstruction (relative)": (epochs, [1.0, 0.6, 0.3]),
        "quantisation, mean of levels": (epochs, [0.2, 0.1, 0.05]),
    }
    assert diversity == {"diversity term": (epochs, [4.5] * 3)}
    assert usage == {
        "level 1": (epochs, [7.5, 3.0, 6.0]),
        "level 2": (epochs, [7.0, 5.0, 7.5]),
        "all codes alike": (epochs, [8, 8, 8]),
    }
    assert collisions == {"nearest codes": (epochs, [0.0, 0.4, 0.1])}


def test_lines_of_one_panel_look_unlike_each_other() -> None:
    for figure in tokenizer_curves(content()):
        looks = [(r["color"], r["dash"]) for found in figure.data.values() for r in found]
        assert len(set(looks)) == len(looks)


def test_a_term_that_was_off_is_not_drawn() -> None:
    names = [figure.name for figure in tokenizer_curves(content(diversity=None))]
    assert names == ["Squared error", "Perplexity (of 8 codes)", "Collision rate"]


def test_equal_files_give_equal_pictures_named_after_them(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content()))
    first, second = (draw_tokenizer(path, tmp_path / name) for name in ("one", "two"))
    assert sorted(p.name for p in first) == [
        f"tokenizer-curves.{kind}" for kind in ("pdf", "png", "svg")
    ]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_the_figure_in_the_docs_is_drawn_from_the_file_beside_it(tmp_path: Path) -> None:
    (svg, *_) = draw_tokenizer(DOCS / "rq-vae-ml-100k.json", tmp_path)
    assert svg.read_bytes() == (DOCS / "rq-vae-ml-100k.svg").read_bytes()
