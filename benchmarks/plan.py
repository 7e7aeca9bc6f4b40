"""Which cells a run consists of, which are done, and what the rest will cost on this machine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks.budget import sft_passes
from benchmarks.environment import processor_name
from benchmarks.inputs import Inputs
from benchmarks.saving import method_card
from leaderboard.numbers import score
from leaderboard.record import (
    MethodCard,
    Metrics,
    RecordError,
    cell_hash,
    read_record,
    record_path,
)
from leaderboard.scores import load_cell
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
            setting, method or protocol is in its place; "damaged": one that cannot be read, was
            changed, or lacks a sidecar.
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

    def job(self) -> dict[str, Any]:
        """What a worker must know of it."""
        return {
            "setting": self.setting.model_dump(mode="json"),
            "method": self.card.key,
            "parameters": self.card.parameters.model_dump(mode="json"),
            "seed": self.seed,
        }

    def headline(self) -> str:
        """What to say once its record is written."""
        return headline(read_record(self.path).metrics["test"])


def headline(metrics: Metrics) -> str:
    """The two figures that are shown as soon as a cell has ended."""
    shown = (f"{name} {score(metrics.get(name))}" for name in ("ndcg@10", "recall@10"))
    return "  ".join(shown)


def cell_state(path: Path, expected_hash: str, *, plain: bool = False) -> State:
    """Whether the record at `path` is the cell of hash `expected_hash`, whole with its sidecars.

    A record made in plain forms is not the cell made in fast ones, nor the other way round.
    """
    if not path.exists():
        return "missing"
    try:
        record = read_record(path)
        if record.cell_hash != expected_hash or bool(record.code.plain) != plain:
            return "other"
        load_cell(path)
    except RecordError:
        return "damaged"
    return "done"


def plan_cells(
    file: SettingFile,
    methods: Sequence["Method"],
    seeds: Sequence[int],
    results: Path,
    *,
    plain: bool = False,
) -> list[PlannedCell]:
    """The cells of a run, seed by seed across methods, so that a board stands after each round."""
    cells = []
    for seed in seeds:
        for method in methods:
            card = method_card(method, file.parameters(method.key))
            path = record_path(results, file.setting.name, card.key, seed)
            own_hash = cell_hash(file.setting.hash, card.hash, seed)
            state = cell_state(path, own_hash, plain=plain)
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


def past_seconds(setting: Setting, results: Sequence[Path], device: str) -> float | None:
    """Mean seconds of this setting's cells that such a machine has finished, if there are any."""
    found = []
    own = processor_name()
    for folder in results:
        for path in sorted(folder.glob(f"{setting.name}/*/seed-*.json")):
            try:
                record = read_record(path)
            except RecordError:
                continue  # `verify` reports it; an estimate does without
            where = record.environment
            same = (where.device, where.processor) == (device, own)
            if record.kind == "cell" and record.setting_hash == setting.hash and same:
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


def prefixes_scored(setting: Setting, inputs: Inputs) -> int:
    """Tokens that scoring runs after a prompt: beams, or all prefixes where it is exact."""
    levels = setting.semantic_ids.levels
    if setting.decoding.method != "exact":
        return setting.decoding.beam * (levels - 1)
    codes = inputs.semantic_ids.codes
    return sum(len(np.unique(codes[:, :depth], axis=0)) for depth in range(1, levels))


def chat_tokens(length: int, shown: int, levels: int) -> int:
    """Tokens that are run for a history of `length` items, in blocks that share their beginning.

    Of a prompt's words 40 stand before the history and 20 behind it.
    """
    full, rest = divmod(length - 1, shown)
    blocks = [shown] * full + [rest] * (rest > 0)
    return sum(40 + targets * (2 * levels + 20) for targets in blocks)


def tokens_per_pass(setting: Setting, inputs: Inputs) -> tuple[int, int]:
    """Tokens of one pass of R, and of scoring both parts; prompts' words at 60 tokens.

    A query's prompt is taken for 25.
    """
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    beams = prefixes_scored(setting, inputs)
    if inputs.queries is not None:
        asked = len(inputs.queries.validation) + len(inputs.queries.test)
        train = sum(len(query.answers) for query in inputs.queries.train) * (25 + levels)
        return train, asked * (25 + beams) * setting.evaluation.wordings
    lengths = [len(items) for items in inputs.split.train]
    if setting.prompts.style == "sequence":
        train = levels * sum(lengths) + 10 * sum(-(-n // setting.prompts.window) for n in lengths)
    else:
        train = sum(chat_tokens(n, shown, levels) for n in lengths)
    score = 2 * sum(levels * min(n + 1, shown) + 30 + beams for n in lengths)
    return train, score * setting.evaluation.wordings


def training_flops(setting: Setting, inputs: Inputs, train: int, parameters: int) -> float:
    """FLOPs of R and of A, roughly; `train` are the tokens of one pass over R."""
    lengths = [len(items) for items in inputs.split.train]
    if inputs.queries is not None:
        examples = sum(len(query.answers) for query in inputs.queries.train)
    elif setting.prompts.style == "sequence":
        examples = sum(-(-n // setting.prompts.window) for n in lengths)
    else:
        examples = sum(lengths) - len(lengths)
    sft = 6.0 * parameters * train * sft_passes(setting.sft, examples)
    extra = setting.extra
    if extra.share_of_sft is not None:
        return sft * (1 + extra.share_of_sft)
    # Grounding pairs: six tasks per item, half of the longest text on average, 40 tokens around it.
    steps = extra.grounding_steps
    if steps is None:
        assert extra.grounding_passes is not None  # the spec holds one of the three
        steps = round(extra.grounding_passes * 6 * inputs.dataset.num_items) // (
            setting.grounding.batch_size
        )
    pair = parameters * (setting.prompts.max_text_tokens / 2 + 40)
    rows, free = 4.0 * steps, 6.0 * (extra.free_steps or 0)
    return sft + pair * setting.grounding.batch_size * (rows + free)


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
    flops = training_flops(setting, inputs, train, parameters) + 2.0 * parameters * score
    past = past_seconds(setting, results, device)
    if past is not None:
        seconds, basis = past, "mean of the cells finished on such a machine"
    else:
        rate = UTILISATION[device] * matrix_rate(device, setting.backbone.dtype)
        seconds, basis = 15 + flops / rate, "FLOPs over this machine's measured matrix rate"
    weights = 4.0 * parameters * 4  # weights, gradients, two moments
    return Estimate(seconds, weights + 7e8, ranks_bytes(setting, inputs) + 4e5, basis)


def ranks_bytes(setting: Setting, inputs: Inputs) -> float:
    """Size of a ranks file, roughly: 60 bytes a user and part, 3 a query's relevant item."""
    if inputs.queries is None:
        return 60.0 * 2 * len(inputs.split.users)
    asked = (*inputs.queries.validation, *inputs.queries.test)
    return 3.0 * sum(len(query.relevant) for query in asked) * setting.evaluation.wordings
