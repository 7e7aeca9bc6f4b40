"""Learning curves: a validation metric over steps and over nominal FLOPs."""

from collections.abc import Mapping, Sequence

from leaderboard.board.series import joint_curve
from leaderboard.figures.axes import FLOPS, Scale
from leaderboard.figures.lines import Series, draw_lines
from leaderboard.figures.palette import Palette
from leaderboard.figures.render import Figure
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.cells import Cell
from leaderboard.render.numbers import score


def learning_curves(
    by_method: Mapping[str, Sequence[Cell]], metric: str, palette: Palette
) -> list[Figure]:
    """Curves of all methods, means of seeds, bands from least to greatest; none without a curve.

    Over FLOPs a curve begins where its method has paid for the stages before SFT.
    """
    found = {
        key: curve
        for key, cells in by_method.items()
        if (curve := joint_curve([cell.record for cell in cells], metric)) is not None
    }
    if not found:
        return []
    ends = ", ".join(f"{key} {score(float(curve.mean[-1]))}" for key, curve in found.items())
    told = f"Mean of the seeds at the last point: {ends}."
    by_steps: list[Series] = []
    by_flops: list[Series] = []
    for key, curve in found.items():
        band = list(zip(curve.low.tolist(), curve.high.tolist(), strict=True))
        for lines, places in ((by_steps, curve.steps), (by_flops, curve.nominal_flops)):
            points = list(zip(places.tolist(), curve.mean.tolist(), strict=True))
            lines.append(
                Series(key, palette.look(key), points, band if curve.num_seeds > 1 else ())
            )
    y = Scale(f"validation {metric}", low=None if is_loss(metric) else 0.0)
    steps = Scale("steps of SFT", low=0.0)
    flops = Scale("nominal FLOPs, stages before SFT included", low=0.0, write=FLOPS)
    return [
        draw_lines(f"Validation {metric} over steps", told, by_steps, steps, y),
        draw_lines(f"Validation {metric} over nominal FLOPs", told, by_flops, flops, y),
    ]
