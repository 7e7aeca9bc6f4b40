"""What a cell notes down while it runs: costs, proofs, diagnostics, curve, checks, warnings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.machine.environment import peak_memory_bytes, reset_peak_memory
from benchmarks.machine.utilisation import device_flops
from gti.prompts.prompter import Example
from gti.train.training import StageReport

TRAINING = ("grounding", "grounding_free", "sft")
"""Stages whose share of the device's rate is noted."""


class Ledger:
    """Collects the parts of a record that come about stage by stage.

    Args:
        device: whose peak memory is noted.
        dtype: what it computes in.
    """

    def __init__(self, device: torch.device, dtype: str) -> None:
        self.device, self.dtype = device, dtype
        self.cost: dict[str, dict[str, Any]] = {}
        self.proofs: list[dict[str, Any]] = []
        self.diagnostics: dict[str, dict[str, Any]] = {}
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.curve: list[dict[str, Any]] = []
        self.tasks: dict[str, int] = {}
        self.treatment: dict[str, Any] | None = None
        self.retention: dict[str, Any] | None = None
        self.warnings: list[str] = []
        self.extra_spent = 0.0
        self._stage = "load"
        self._peaks: dict[str, int] = {}
        reset_peak_memory(device)

    def enter(self, stage: str) -> None:
        """Starts `stage`: peak memory is booked to it until the next call; a stage may recur.

        Before a training stage the device's rate is measured for the first time.
        """
        self._note_peak()
        reset_peak_memory(self.device)
        self._stage = stage
        if stage in TRAINING and stage not in self._peaks:
            device_flops(self.device, self.dtype)

    def _note_peak(self) -> None:
        peak = peak_memory_bytes(self.device)
        if peak is not None:
            self._peaks[self._stage] = max(peak, self._peaks.get(self._stage, 0))

    def warn(self, *sentences: str | None) -> None:
        """Adds `sentences` to the record's warnings; nulls are skipped."""
        self.warnings += [sentence for sentence in sentences if sentence is not None]

    def note_cost(self, stage: str, seconds: float, **figures: Any) -> None:
        """Books what `stage` cost; its memory is that held between `enter(stage)` and the next."""
        self._note_peak()
        peak = self._peaks.get(stage)
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
        if done.gave_up_prefixes:
            self.warnings.append(
                f"{stage}: out of memory; the constants behind prompts' beginnings were no longer"
                " kept, which costs time and changes nothing else"
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

    def note_search(self, cut_to: int | None) -> None:
        """Says to how many tokens batches of users were cut; null where memory sufficed."""
        if cut_to is not None:
            self.warnings.append(
                f"score: out of memory; batches of users were cut to {cut_to} tokens (the beam was"
                " not)"
            )
