"""Which cells a run consists of, which are done, and how long such cells took before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.cell.identity import method_card, parameters_of
from benchmarks.cell.job import Job
from benchmarks.machine.environment import processor_name
from benchmarks.run.options import RunOptions
from gti.method import Method
from leaderboard.records.cells import load_cell
from leaderboard.records.parts import Metrics
from leaderboard.records.record import MethodCard, RecordError, cell_hash, read_record, record_path
from leaderboard.records.setting import Setting, SettingFile
from leaderboard.render.numbers import score

State = Literal["done", "missing", "other", "inputs", "damaged"]


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a run.

    Attributes:
        setting: its setting.
        card: its method, with the own parameters that the setting's file gives.
        seed: its seed.
        path: where its record lies or will lie.
        state: "done": a record of this very cell; "missing": none; "other": a record of another
            setting, method or protocol is in its place; "inputs": one of this cell, made from
            other inputs (`benchmarks.run.same_inputs`); "damaged": one that cannot be read, was
            changed, or lacks a sidecar.
        why: with state "inputs": which input, and both hashes.
    """

    setting: Setting
    card: MethodCard
    seed: int
    path: Path
    state: State
    why: str = field(default="", kw_only=True)

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.card.key} seed {self.seed}"

    @property
    def hash(self) -> str:
        """Of setting, method and seed: what its record says it is."""
        return cell_hash(self.setting.hash, self.card.hash, self.seed)

    def job(self, options: RunOptions) -> Job:
        """What a worker is asked to do."""
        return Job(
            setting=self.setting,
            method=self.card.key,
            parameters=self.card.parameters,
            seed=self.seed,
            results=options.results.resolve(),
            device=options.device,
            offline=options.offline,
            plain=options.plain,
            debug=options.debug,
            checkpoint_seconds=options.checkpoint_seconds,
        )

    def state_now(self, *, plain: bool) -> State:
        """The state of what lies in its place by now; `plain` as for `cell_state`."""
        return cell_state(self.path, self.hash, plain=plain)

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
    methods: Sequence[Method],
    seeds: Sequence[int],
    results: Path,
    *,
    plain: bool = False,
) -> list[PlannedCell]:
    """The cells of a run, seed by seed across methods, so that a board stands after each round."""
    cells = []
    for seed in seeds:
        for method in methods:
            card = method_card(method, parameters_of(file, method))
            path = record_path(results, file.setting.name, card.key, seed)
            own_hash = cell_hash(file.setting.hash, card.hash, seed)
            state = cell_state(path, own_hash, plain=plain)
            cells.append(PlannedCell(file.setting, card, seed, path, state))
    return cells


def longest_first(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """`cells`, seed by seed as they are, a seed's long ones first: so fewer workers end idle."""
    places = {seed: place for place, seed in enumerate(dict.fromkeys(c.seed for c in cells))}
    return sorted(cells, key=lambda cell: (places[cell.seed], *length_key(cell)))


def length_key(cell: PlannedCell) -> tuple[float, float]:
    """Sorts long cells before short ones.

    What spends the extra budget in steps of SFT, beside or after it, takes longer than what spends
    it before, where most train rows alone; both take longer than what has none.
    """
    spends = cell.card.spends
    return -spends.get("beside", 0.0) - spends.get("after", 0.0), -spends.get("before", 0.0)


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
