"""Curves of a tokenizer: every line is drawn, and equal files give equal pictures."""

import json
from pathlib import Path
from typing import Any

import pytest

from leaderboard.figures.tokenizer_file import draw_tokenizer, draw_tokenizer_curves


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


def test_panels_hold_the_curves_and_one_line_per_level() -> None:
    pytest.importorskip("matplotlib")
    errors, usage, collisions, beside = draw_tokenizer_curves(content()).axes
    assert [line.get_ydata().tolist() for line in errors.lines] == [[1, 0.6, 0.3], [0.2, 0.1, 0.05]]
    lines = {line.get_label(): list(line.get_ydata()) for line in usage.lines[:-1]}
    assert lines == {"level 1": [7.5, 3.0, 6.0], "level 2": [7.0, 5.0, 7.5]}
    assert list(usage.lines[-1].get_ydata()) == [8, 8]
    assert list(collisions.lines[0].get_ydata()) == [0.0, 0.4, 0.1]
    assert list(collisions.lines[0].get_xdata()) == [0, 1, 10]
    assert list(beside.lines[0].get_ydata()) == [4.5] * 3
    assert len(errors.get_legend().get_texts()) == 3


def test_a_term_that_was_off_is_not_drawn() -> None:
    pytest.importorskip("matplotlib")
    figure = draw_tokenizer_curves(content(diversity=None))
    assert len(figure.axes) == 3
    assert len(figure.axes[0].get_legend().get_texts()) == 2


def test_equal_files_give_equal_pictures_in_both_formats(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "abc-tokenizer.json"
    path.write_text(json.dumps(content()), encoding="utf-8")
    first, second = draw_tokenizer(path, tmp_path / "1"), draw_tokenizer(path, tmp_path / "2")
    assert [file.name for file in first] == [
        "abc-tokenizer-curves.svg",
        "abc-tokenizer-curves.png",
    ]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
