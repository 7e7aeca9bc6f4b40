"""Curves of a trained tokenizer (RQ-VAE): error, code usage and collisions over its epochs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leaderboard.figures.axes import Scale
from leaderboard.figures.lines import Series, draw_lines
from leaderboard.figures.palette import COLORS, DASHES, look
from leaderboard.figures.render import Figure, save

TICKS = (0.0, *(float(10**power) for power in range(7)))


def draw_tokenizer(path: Path, out: Path) -> list[Path]:
    """Draws the curves kept in the file at `path` into the directory `out`: SVG, PNG and PDF.

    Args:
        path: JSON with `name`, `num_codes` and `curves` (the fields of
            `gti.quantise.rq_vae.RqVaeCurves`, one list each).
        out: where the figures go; they are called as the file is, with `-curves` added.

    Returns:
        the files written.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    title = f"Training of the tokenizer · {content['name']}"
    return save(tokenizer_curves(content), out, f"{path.stem}-curves", [title], columns=2)


def tokenizer_curves(content: Mapping[str, Any]) -> list[Figure]:
    """Panels over epochs: errors, the diversity term if it was on, perplexity, collisions.

    The start, epoch 0, is drawn at 0 on an axis that is linear up to 1 and logarithmic after.
    """
    curves, num_codes = content["curves"], content["num_codes"]
    levels = {
        f"level {level + 1}": values
        for level, values in enumerate(zip(*curves["perplexity"], strict=True))
    }
    all_codes = [num_codes] * len(curves["epochs"])
    panels = {
        "squared error": {
            "reconstruction (relative)": curves["reconstruction"],
            "quantisation, mean of levels": curves["quantisation"],
        },
        "diversity term": {"diversity term": curves["diversity"]},
        f"perplexity (of {num_codes} codes)": {**levels, "all codes alike": all_codes},
        "collision rate": {"nearest codes": curves["collision_rate"]},
    }
    if None in curves["diversity"]:
        del panels["diversity term"]
    epochs = Scale("epochs", 0.0, curves["epochs"][-1], "symlog", ticks=TICKS)
    drawn = []
    for name, found in panels.items():
        lines = _lines(curves["epochs"], found)
        told = f"At the end: {', '.join(f'{key} {own[-1]:.3g}' for key, own in found.items())}."
        drawn.append(draw_lines(name.capitalize(), told, lines, epochs, Scale(name, low=0.0)))
    return drawn


def _lines(epochs: Sequence[float], found: Mapping[str, Sequence[float]]) -> list[Series]:
    """A line per curve, each in a look of its own."""
    colors = list(COLORS)
    return [
        Series(
            key,
            look(colors[place % len(colors)], place % len(DASHES)),
            list(zip(epochs, values, strict=True)),
        )
        for place, (key, values) in enumerate(found.items())
    ]
