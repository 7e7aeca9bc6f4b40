"""Recorded cells that are to run again: each checked, with its inputs, before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cell.identity import method_card
from benchmarks.inputs.inputs import Inputs, ReadData, load_data, load_inputs
from benchmarks.run.runner import check_results_writable
from benchmarks.run.write_references import reference_card
from gti.data.semantic_ids import SemanticIds
from leaderboard.records.cells import Cell, load_cell
from leaderboard.records.record import (
    PROTOCOL_VERSION,
    MethodCard,
    Record,
    read_record,
    record_path,
)


class RerunError(ValueError):
    """A record that cannot be run again here; the message says why and what to do."""


@dataclass(frozen=True)
class Subject:
    """A recorded cell that is to run again.

    Attributes:
        cell: the record and where it lies.
        results: where its inputs and the other seeds lie.
        semantic_ids: the artefact's file; null for references and where it is to be found
            elsewhere by its hash.
        inputs: loaded and checked; of a reference without Semantic IDs, which it does not read.
        card: the method as it is today, with the record's parameters.
    """

    cell: Cell
    results: Path
    semantic_ids: Path | None
    inputs: ReadData
    card: MethodCard

    @property
    def record(self) -> Record:
        """What it left."""
        return self.cell.record

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.record.setting.name} · {self.record.method.key} seed {self.record.seed}"

    def path_in(self, scratch: Path) -> Path:
        """Where the new run's record goes."""
        record = self.record
        return record_path(scratch, record.setting.name, record.method.key, record.seed)


def load_subjects(records: Sequence[Path], results: Path | None, *, offline: bool) -> list[Subject]:
    """The recorded cells, each checked as far as that goes without running it."""
    loaded: dict[str, ReadData] = {}
    subjects: dict[tuple[str, str, int], Subject] = {}
    for path in records:
        subject = _subject(path, results, loaded, offline=offline)
        record = subject.record
        key = (record.setting.name, record.method.key, record.seed)
        if key in subjects:
            raise RerunError(f"{path} and {subjects[key].cell.path} are one cell; name one of them")
        check_results_writable(path.parent)
        subjects[key] = subject
    return list(subjects.values())


def _subject(
    path: Path, results: Path | None, loaded: dict[str, ReadData], *, offline: bool
) -> Subject:
    """The recorded cell at `path` with its inputs; `loaded` keeps those that cells share."""
    record = read_record(path)
    if record.protocol != PROTOCOL_VERSION:
        commit = f"the record's commit, {record.code.commit}," if record.code.commit else "the code"
        raise RerunError(
            f"{path} is of protocol {record.protocol!r}, this code runs {PROTOCOL_VERSION!r}: the"
            f" two never compare; check out {commit} that made it"
        )
    cell = load_cell(path)
    if record.setting_hash != record.setting.hash:
        raise RerunError(
            f"{path}: its setting has hash {record.setting.hash}, it names {record.setting_hash};"
            " `gti-bench verify` says more"
        )
    if record.fits is not None:
        raise RerunError(
            f"{path} is another library's reference; `tox -e recbole -- {record.setting.name}"
            f" --models {record.method.key.partition('-')[2]} --seeds {record.seed} --results DIR`"
            " makes it again"
        )
    if record.names is not None:
        raise RerunError(
            f"{path} is a trained reference, which rerun does not run again; `gti-bench references"
            f" {record.setting.name} --models {record.method.key} --seeds {record.seed} --results"
            " DIR` makes it anew, to compare"
        )
    results = results or path.resolve().parent.parent.parent
    stored = None if record.kind == "reference" else _stored_semantic_ids(record, results)
    key = f"{record.setting_hash} {record.kind} {record.inputs.semantic_ids}"
    if key not in loaded:
        loaded[key] = _load(record, stored, offline=offline)
    inputs = loaded[key]
    _check_inputs(path, record, inputs)
    return Subject(cell, results, stored, inputs, _card(record))


def _load(record: Record, stored: Path | None, *, offline: bool) -> ReadData:
    """What the record's cell reads; its Semantic IDs from the file `stored` where there is one."""
    if record.kind == "reference":
        return load_data(record.setting, offline=offline)
    artefact = None if stored is None else _read_semantic_ids(stored, record)
    return load_inputs(record.setting, record.seed, offline=offline, semantic_ids=artefact)


def _stored_semantic_ids(record: Record, results: Path) -> Path | None:
    """The artefact that the record used, in the results; null where any other way will do."""
    named = record.inputs.semantic_ids
    pinned = record.setting.semantic_ids.pin_at(record.seed)
    wanted = named or pinned
    path = results / "inputs" / f"{wanted}.npz"
    if path.is_file():
        return path
    if named is not None and named != pinned:
        raise RerunError(
            f"the Semantic IDs that the record used are not in {path}, and its setting pins none;"
            " put the author's file there, or name their results with --results"
        )
    return None


def _read_semantic_ids(path: Path, record: Record) -> SemanticIds:
    """The artefact at `path`, which must be what its name says."""
    artefact = SemanticIds.from_file(path)
    if artefact.sha256 != path.stem:
        raise RerunError(
            f"{path} holds Semantic IDs of hash {artefact.sha256}, not those that"
            f" {record.method.key} seed {record.seed} used; fetch the author's file"
        )
    return artefact


def _check_inputs(path: Path, record: Record, inputs: ReadData) -> None:
    """Data and queries are those that the record read."""
    queries = None if inputs.queries is None else inputs.queries.sha256
    here = {"dataset": inputs.dataset.full_sha256, "queries": queries}
    if isinstance(inputs, Inputs):
        here["semantic_ids"] = inputs.semantic_ids.sha256
    for name, found in here.items():
        named = getattr(record.inputs, name)
        if found != named:
            raise RerunError(
                f"{path}: inputs.{name} here has hash {found}, the record read {named}; get that"
                " version, or check out the record's commit"
            )


def _card(record: Record) -> MethodCard:
    """The record's method as it is today."""
    if record.kind == "reference":
        return reference_card(record.method.key, record.setting)
    from baselines.registry import select_methods

    (method,) = select_methods(record.method.key)
    return method_card(method, record.method.parameters)
