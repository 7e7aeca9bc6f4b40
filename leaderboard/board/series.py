"""What figures draw of several records of one method, whatever draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaderboard.board.learning import flops_before_sft
from leaderboard.records.record import Record

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointCurve:
    """Learning curves of one method's seeds at the steps that all of them were scored at.

    Args:
        num_seeds: how many there are.
        steps: [P] of SFT.
        nominal_flops: [P] mean over seeds, the stages before SFT included.
        mean: [P] over seeds.
        low: [P] the least seed.
        high: [P] the greatest seed.
    """

    num_seeds: int
    steps: Floats
    nominal_flops: Floats
    mean: Floats
    low: Floats
    high: Floats


def joint_curve(records: Sequence[Record], metric: str) -> JointCurve | None:
    """The curves of `records` (one method) together; null where `metric` is null at a point."""
    curves = [record.learning_curve for record in records]
    steps = sorted(set.intersection(*({point.step for point in curve} for curve in curves)))
    kept = [[point for point in curve if point.step in steps] for curve in curves]
    found = [[point.metrics.get(metric) for point in curve] for curve in kept]
    if not steps or any(value is None for curve in found for value in curve):
        return None
    values = np.array(found, dtype=np.float64)
    flops = np.array([[point.nominal_flops for point in curve] for curve in kept])
    before = float(np.mean([flops_before_sft(record) for record in records]))
    return JointCurve(
        num_seeds=len(records),
        steps=np.array(steps, dtype=np.float64),
        nominal_flops=flops.mean(axis=0) + before,
        mean=values.mean(axis=0),
        low=values.min(axis=0),
        high=values.max(axis=0),
    )


def rsa_columns(records: Sequence[Record], stage: str, levels: int) -> list[list[float]]:
    """RSA (Spearman) at `stage`: the defined values over seeds, level by level."""
    columns: list[list[float]] = [[] for _ in range(levels)]
    for record in records:
        numbers = record.diagnostics.get(stage)
        if numbers is not None:
            for column, value in zip(columns, numbers.rsa_spearman_per_level, strict=False):
                if value is not None:
                    column.append(value)
    return columns
