"""What a cell is made of before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.cell.identity import method_card
from benchmarks.inputs.inputs import Inputs
from benchmarks.machine.events import Report, silent
from gti.method import Method
from leaderboard.records.record import MethodCard
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.specs import OptimizerSpec

CHECKPOINT_SECONDS = 240.0
"""From one checkpoint to the next within a stage."""


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """Which cell, from which inputs, and how it is run.

    Attributes:
        setting: what is held fixed.
        parameters: what the method has of its own.
        method: the method.
        seed: the seed of all streams.
        inputs: checked data and Semantic IDs.
        device: where to compute.
        offline: touch no network.
        plain: run the slow reference of `gti.plain` everywhere.
        checkpoint: folder of the cell's checkpoint; null: none is written.
        checkpoint_seconds: from one to the next within a stage.
        report: told of stages, progress and notes.
    """

    setting: Setting
    parameters: MethodParameters
    method: Method
    seed: int
    inputs: Inputs
    device: torch.device
    offline: bool = False
    plain: bool = False
    checkpoint: Path | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    report: Report = silent

    @property
    def card(self) -> MethodCard:
        """The record's card of the method."""
        return method_card(self.method, self.parameters)

    @property
    def sft(self) -> OptimizerSpec:
        """The optimiser of SFT, at the method's own rate where it has one."""
        return _at_rate(self.setting.sft, self.parameters.sft_learning_rate)

    @property
    def grounding(self) -> OptimizerSpec:
        """The optimiser of grounding, at the method's own rate where it has one."""
        return _at_rate(self.setting.grounding, self.parameters.grounding_learning_rate)


def _at_rate(optimizer: OptimizerSpec, rate: float | None) -> OptimizerSpec:
    return optimizer if rate is None else optimizer.model_copy(update={"learning_rate": rate})
