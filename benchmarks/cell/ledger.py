"""What a cell notes down while it runs: costs, proofs, diagnostics, curve, checks, warnings."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.machine.environment import peak_memory_bytes, reset_peak_memory
from benchmarks.machine.utilisation import device_flops
from gti.prompts.prompter import Example
from gti.train.resuming import Kept
from gti.train.training import StageReport

TRAINING = ("grounding", "grounding_free", "sft")
"""Stages whose share of the device's rate is noted."""
NOTED = (
    "cost",
    "proofs",
    "diagnostics",
    "curve",
    "tasks",
    "treatment",
    "retention",
    "warnings",
    "extra_spent",
)
"""Attributes of a ledger that a checkpoint keeps as they are."""


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
        self.stage = "load"
        self._peaks: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        reset_peak_memory(device)
        self._since = time.perf_counter()

    def enter(self, stage: str) -> None:
        """Starts `stage`: time and peak memory are booked to it until the next; it may recur.

        Before a training stage the device's rate is measured for the first time.
        """
        self._seconds[self.stage] = self.seconds(self.stage)
        self._note_peak()
        reset_peak_memory(self.device)
        self.stage = stage
        if stage in TRAINING and stage not in self._peaks:
            device_flops(self.device, self.dtype)
        self._since = time.perf_counter()

    def seconds(self, stage: str) -> float:
        """Seconds that `stage` took so far, in a process before this one too."""
        running = time.perf_counter() - self._since if stage == self.stage else 0.0
        return self._seconds.get(stage, 0.0) + running

    def all_seconds(self) -> float:
        """Seconds of the cell so far, all stages together."""
        return sum(self.seconds(stage) for stage in {*self._seconds, self.stage})

    def proves(self, stage: str) -> bool:
        """Whether the training `stage` has ended."""
        return any(proof["stage"] == stage for proof in self.proofs)

    def state(self) -> Kept:
        """All that is noted down, for a checkpoint."""
        numeric = {name: array for name, array in self.arrays.items() if array.dtype.kind != "U"}
        texts = {
            name: {"texts": array.ravel().tolist(), "shape": array.shape, "dtype": str(array.dtype)}
            for name, array in self.arrays.items()
            if name not in numeric
        }
        seconds = {**self._seconds, self.stage: self.seconds(self.stage)}
        numbers = {name: getattr(self, name) for name in NOTED}
        numbers |= {"seconds": seconds, "peaks": self._peaks, "texts": texts}
        return Kept(numbers, {name: torch.tensor(array) for name, array in numeric.items()})

    def restore(self, kept: Kept) -> None:
        """Puts back what `state` gave; of memory the larger peak counts."""
        for name in NOTED:
            setattr(self, name, kept.numbers[name])
        self.arrays = {name: tensor.clone().numpy() for name, tensor in kept.tensors.items()}
        for name, text in kept.numbers["texts"].items():
            self.arrays[name] = np.array(text["texts"], text["dtype"]).reshape(text["shape"])
        self._seconds = kept.numbers["seconds"]
        for stage, peak in kept.numbers["peaks"].items():
            self._peaks[stage] = max(peak, self._peaks.get(stage, 0))
        self._since = time.perf_counter()

    def _note_peak(self) -> None:
        peak = peak_memory_bytes(self.device)
        if peak is not None:
            self._peaks[self.stage] = max(peak, self._peaks.get(self.stage, 0))

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
        if done.uncopied is not None:
            self.warnings.append(
                f"{stage}: bfloat16 was computed under autocast, which costs time and moves figures"
                f" as far as rounding does: {done.uncopied}"
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
