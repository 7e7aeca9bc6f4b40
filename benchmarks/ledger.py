"""What a cell notes down while it runs: costs, proofs, diagnostics, curve, tasks, warnings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.environment import peak_memory_bytes
from benchmarks.utilisation import device_flops
from gti.prompts import Example
from gti.training import StageReport


class Ledger:
    """Collects the parts of a record that come about stage by stage.

    Args:
        device: whose peak memory is noted.
        dtype: what it computes in.
    """

    def __init__(self, device: Any, dtype: str) -> None:
        self.device, self.dtype = device, dtype
        self.cost: dict[str, dict[str, Any]] = {}
        self.proofs: list[dict[str, Any]] = []
        self.diagnostics: dict[str, dict[str, Any]] = {}
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.curve: list[dict[str, Any]] = []
        self.tasks: dict[str, int] = {}
        self.warnings: list[str] = []
        self.extra_spent = 0.0

    def note_cost(self, stage: str, seconds: float, **figures: Any) -> None:
        """Books what `stage` cost."""
        peak = peak_memory_bytes(self.device)
        self.cost[stage] = {"seconds": seconds, "peak_memory_bytes": peak, **figures}

    def close_stage(
        self,
        stage: str,
        seconds: float,
        proof: dict[str, Any],
        done: StageReport,
        batches: Sequence[Sequence[Example]],
    ) -> None:
        """Books a training stage: its proof, its cost, and how many examples of each task."""
        self.proofs.append(proof)
        for batch in batches:
            for example in batch:
                self.tasks[example.task] = self.tasks.get(example.task, 0) + 1
        if done.smallest_micro_batch is not None:
            self.warnings.append(
                f"{stage}: out of memory; micro-batches were cut to"
                f" {done.smallest_micro_batch} tokens"
            )
        if done.unshared is not None:
            self.warnings.append(
                f"{stage}: beginnings that prompts share were computed apart, which costs time and"
                f" changes nothing else: {done.unshared}"
            )
        could = device_flops(self.device, self.dtype)
        self.note_cost(
            stage,
            seconds,
            tokens=done.tokens,
            steps=done.steps,
            nominal_flops=done.nominal_flops,
            actual_flops=done.actual_flops,
            first_loss=done.first_loss,
            last_loss=done.last_loss,
            device_flops=could,
            utilisation=None if could is None else done.actual_flops / (seconds * could),
        )
