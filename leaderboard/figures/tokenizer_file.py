"""Curves of a trained tokenizer (RQ-VAE): error, code usage and collisions over its epochs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.figures.files import save_figure, styled
from leaderboard.figures.palette import COLORS, LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVEL_COLORS = tuple(COLORS.values())


def draw_tokenizer(path: Path, out: Path) -> list[Path]:
    """Draws the curves kept in the file at `path` into the directory `out`, as SVG and PNG.

    Args:
        path: JSON with `name`, `num_codes` and `curves` (the fields of
            `gti.quantise.rq_vae.RqVaeCurves`,
            one list each).
        out: where the figures go; they are called as the file is, with `-curves` added.

    Returns:
        the files written.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    with styled():
        figure = draw_tokenizer_curves(content)
        return save_figure(figure, out, f"{path.stem}-curves")


def draw_tokenizer_curves(content: dict[str, Any]) -> "Figure":
    """Three panels over epochs: errors and diversity term, perplexity per level, collisions.

    The start, epoch 0, is drawn at 0 on an axis that is linear up to 1 and logarithmic after.
    """
    from matplotlib.figure import Figure

    curves, num_codes = content["curves"], content["num_codes"]
    epochs = curves["epochs"]
    figure = Figure(figsize=(10.6, 3.3))
    errors, usage, collisions = figure.subplots(1, 3)
    _line(errors, epochs, curves["reconstruction"], "reconstruction (relative)", 0)
    _line(errors, epochs, curves["quantisation"], "quantisation, mean of levels", 1)
    errors.set_ylabel("squared error")
    errors.set_ylim(bottom=0)
    if None not in curves["diversity"]:
        beside = errors.twinx()
        _line(beside, epochs, curves["diversity"], "diversity term (right)", 2)
        beside.grid(visible=False)
        handles = [*errors.lines, *beside.lines]
        errors.legend(handles, [str(line.get_label()) for line in handles], loc="best")
    else:
        errors.legend(loc="best")
    for level, values in enumerate(zip(*curves["perplexity"], strict=True)):
        _line(usage, epochs, values, f"level {level + 1}", level)
    usage.axhline(num_codes, color="black", linewidth=0.6, linestyle=":")
    usage.set_ylim(0, 1.05 * num_codes)
    usage.set_ylabel(f"perplexity (of {num_codes} codes)")
    usage.legend(loc="best")
    _line(collisions, epochs, curves["collision_rate"], "nearest codes", 0)
    collisions.set_ylim(bottom=0)
    collisions.set_ylabel("collision rate, nearest codes")
    for axis in (errors, usage, collisions):
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(0, epochs[-1])
        axis.set_xlabel("epochs")
    figure.suptitle(f"Training of the tokenizer · {content['name']}", fontsize=10)
    figure.tight_layout()
    return figure


def _line(axis: "Axes", places: Any, values: Any, label: str, number: int) -> None:
    color = _LEVEL_COLORS[number % len(_LEVEL_COLORS)]
    axis.plot(places, values, LINES[number % len(LINES)], color=color, label=label, linewidth=1.3)
