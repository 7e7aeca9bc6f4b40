"""Which cells a run consists of, which are done, and what the rest will cost on this machine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.inputs import Inputs
from benchmarks.saving import method_card
from leaderboard.record import MethodCard, RecordError, cell_hash, read_record, record_path
from leaderboard.setting import Setting, SettingFile

if TYPE_CHECKING:
    from gti.method import Method

State = Literal["done", "missing", "other", "damaged"]


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a run.

    Attributes:
        setting: its setting.
        card: its method, with the own parameters that the setting's file gives.
        seed: its seed.
        path: where its record lies or will lie.
        state: "done": a record of this very cell; "missing": none; "other": a record of another
            setting, method or protocol is in its place; "damaged": one that cannot be read.
    """

    setting: Setting
    card: MethodCard
    seed: int
    path: Path
    state: State

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.card.key} seed {self.seed}"


def cell_state(path: Path, expected_hash: str) -> State:
    """Whether the record at `path` is the cell of hash `expected_hash`."""
    if not path.exists():
        return "missing"
    try:
        record = read_record(path)
    except RecordError:
        return "damaged"
    return "done" if record.cell_hash == expected_hash else "other"


def plan_cells(
    file: SettingFile, methods: Sequence["Method"], seeds: Sequence[int], results: Path
) -> list[PlannedCell]:
    """The cells of a run, seed by seed across methods, so that a board stands after each round."""
    cells = []
    for seed in seeds:
        for method in methods:
            card = method_card(method, file.parameters(method.key))
            path = record_path(results, file.setting.name, card.key, seed)
            own_hash = cell_hash(file.setting.hash, card.hash, seed)
            state = cell_state(path, own_hash)
            cells.append(PlannedCell(file.setting, card, seed, path, state))
    return cells


@dataclass(frozen=True)
class Estimate:
    """What one cell will cost, roughly.

    Attributes:
        seconds: wall time of one cell; within a factor of two or so.
        memory_bytes: peak memory of one worker.
        disk_bytes: of one record with its sidecars.
        basis: what the estimate rests on.
    """

    seconds: float
    memory_bytes: float
    disk_bytes: float
    basis: str


def past_seconds(setting: Setting, results: Sequence[Path]) -> float | None:
    """Mean seconds of this setting's finished cells in the given results, if there are any."""
    found = []
    for folder in results:
        for path in sorted(folder.glob(f"{setting.name}/*/seed-*.json")):
            try:
                record = read_record(path)
            except RecordError:
                continue  # `verify` reports it; an estimate does without
            if record.kind == "cell":
                found.append(sum(cost.seconds for cost in record.cost.values()))
    return sum(found) / len(found) if found else None


UTILISATION = {"cpu": 0.35, "cuda": 0.25}
"""Share of the matrix-product rate that training is taken to reach: assumed, not measured."""


def matrix_rate(device: str, dtype: str) -> float:
    """FLOP/s of a square matrix product on `device`, one thread on a CPU; takes about a second."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        size = 768 if device == "cpu" else 8192
        kind = torch.bfloat16 if dtype == "bfloat16" and device != "cpu" else torch.float32
        a = torch.randn(size, size, device=device, dtype=kind)
        (a @ a).sum().item()
        began, rounds = time.perf_counter(), 0
        while time.perf_counter() - began < 0.7:
            (a @ a).sum().item()
            rounds += 1
        return 2.0 * size**3 * rounds / (time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)


def tokens_per_pass(setting: Setting, inputs: Inputs) -> tuple[int, int]:
    """Tokens of one pass of R, and of scoring all users twice; prompts' words at 60 tokens."""
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    lengths = [len(items) for items in inputs.split.train]
    if setting.prompts.style == "sequence":
        train = levels * sum(lengths) + 10 * sum(-(-n // setting.prompts.window) for n in lengths)
    else:
        train = sum(levels * min(end, shown) + 60 + levels for n in lengths for end in range(1, n))
    beams = setting.decoding.beam * (levels - 1)
    score = 2 * sum(levels * min(n + 1, shown) + 30 + beams for n in lengths)
    return train, score


def estimate(
    setting: Setting, inputs: Inputs, device: str, results: Sequence[Path], parameters: int
) -> Estimate:
    """Cost of one cell of `setting` on this machine.

    Args:
        setting: what would run.
        inputs: its data.
        device: "cpu" or "cuda".
        results: where finished cells may be found; they are the best basis.
        parameters: of the backbone.
    """
    train, score = tokens_per_pass(setting, inputs)
    passes = setting.sft.passes * (1 + setting.extra.share_of_sft)
    flops = parameters * (6.0 * train * passes + 2.0 * score)
    past = past_seconds(setting, results)
    if past is not None:
        seconds, basis = past, "mean of the finished cells in the results"
    else:
        rate = UTILISATION[device] * matrix_rate(device, setting.backbone.dtype)
        seconds, basis = 15 + flops / rate, "FLOPs over this machine's measured matrix rate"
    weights = 4.0 * parameters * 4  # weights, gradients, two moments
    return Estimate(seconds, weights + 7e8, 60.0 * 2 * len(inputs.split.users) + 4e5, basis)
