"""Checks across records: seeds differ, and the cells of a setting have what they share alike."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboard.canonical import canonical_json
from leaderboard.findings import Finding, Report
from leaderboard.ranks import TEXTS, Ranks, combined
from leaderboard.record import Record
from leaderboard.verify_training import track_task

INPUTS = ("dataset", "semantic_ids", "backbone", "tokenizer", "prompts", "queries")


class TargetsHash:
    """Hashes who was scored on what: split, user, item, grade, popularity and history.

    Records of a setting list the same rows in the same order, so the last hash is kept: rows that
    are equal to the last ones are not sorted again.
    """

    def __init__(self) -> None:
        self._columns: list[npt.NDArray[Any]] = []
        self._hash = ""

    def of(self, ranks: Ranks) -> str:
        """The hash of `ranks`.

        The first wording's rows stand for all (`check_ranks` sees to it): references have one.
        """
        first = ranks.where(ranks.wording == 0) if ranks.wording.any() else ranks
        texts = [first.coded(name) for name in TEXTS]
        columns: list[npt.NDArray[Any]] = []
        for column in texts:
            columns += [column.names, column.numbers]
        columns += [first.grade, first.target_popularity, first.history_length]
        pairs = zip(columns, self._columns, strict=False)
        if not self._columns or not all(np.array_equal(new, old) for new, old in pairs):
            self._columns, self._hash = columns, targets_hash(first)
        return self._hash


def targets_hash(first: Ranks) -> str:
    """`TargetsHash` of rows of one wording, in whatever order they stand."""
    digest = hashlib.sha256()
    columns: list[npt.NDArray[np.integer[Any]]] = []
    for name in TEXTS:
        column = first.coded(name).in_order()
        digest.update(canonical_json(column.names.tolist()))
        columns.append(column.numbers)
    order = np.argsort(combined(*columns), kind="stable")
    columns += [first.grade, first.target_popularity, first.history_length]
    for values in columns:
        digest.update(values[order].astype("<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Facts:
    """What one record says that others must agree with, or must not.

    Args:
        path: its file.
        is_cell: not a reference.
        setting_hash: its setting.
        method: key of its method.
        method_hash: the method's.
        ranks: sha256 of its ranks file.
        targets: `TargetsHash`; empty where the ranks cannot be read.
        inputs: of a cell, what it read: name → sha256.
        shared: of a cell, (field, what it may depend on beside the setting) → value.
    """

    path: Path
    is_cell: bool
    setting_hash: str
    method: str
    method_hash: str
    ranks: str
    targets: str
    inputs: dict[str, str | None]
    shared: dict[tuple[Any, ...], Any]


def facts_of(path: Path, record: Record, targets: str) -> Facts:
    """The facts of the `record` at `path`; all that is kept of it."""
    is_cell = record.kind == "cell"
    return Facts(
        path=path,
        is_cell=is_cell,
        setting_hash=record.setting_hash,
        method=record.method.key,
        method_hash=record.method_hash,
        ranks=record.files.ranks,
        targets=targets,
        inputs={name: getattr(record.inputs, name) for name in INPUTS} if is_cell else {},
        shared=_shared(record) if is_cell else {},
    )


def compare(checked: Sequence[Facts], findings: list[Finding]) -> None:
    """Checks across records: seeds differ, and a setting has one input and one set of targets."""
    first_ranks: dict[tuple[str, str, str], Path] = {}
    first_of: dict[str, Facts] = {}
    methods: dict[tuple[str, str], str] = {}
    for facts in checked:
        report = Report(str(facts.path), findings)
        key = (facts.setting_hash, facts.method_hash, facts.ranks)
        other = first_ranks.setdefault(key, facts.path)
        if other != facts.path and facts.is_cell:
            report.error("files.ranks", facts.ranks, f"other ranks than {other.name}'s")
        known = methods.setdefault((facts.setting_hash, facts.method), facts.method_hash)
        report.equal("method_hash (within the setting)", facts.method_hash, known)
        first = first_of.setdefault(facts.setting_hash, facts)
        if facts.targets and first.targets and facts.targets != first.targets:
            found, expected = "other users or targets", f"those of {first.path}"
            report.error("files.ranks (targets)", found, expected)
    cells = [facts for facts in checked if facts.is_cell]
    _compare_inputs(cells, findings)
    _compare_shared(cells, findings)


def _compare_inputs(cells: Sequence[Facts], findings: list[Finding]) -> None:
    """The cells of a setting read the same inputs, those without a pin in the setting too."""
    first: dict[str, Facts] = {}
    for facts in cells:
        other = first.setdefault(facts.setting_hash, facts)
        for name, value in facts.inputs.items():
            if value != other.inputs[name]:
                wanted = f"{other.inputs[name]}, as in {other.path}"
                Report(str(facts.path), findings).error(f"inputs.{name}", value, wanted)


MANIFEST = ("first_token_id", "rows_before", "rows_after", "num_text_rows", "tied")
"""What all manifests of a setting say alike, since they tell of one backbone."""


def _shared(record: Record) -> dict[tuple[Any, ...], Any]:
    """(field, what it may depend on beside the setting) → value that other cells must have."""
    shared: dict[tuple[Any, ...], Any] = {}
    if record.manifest is not None:
        for name in (*MANIFEST, "text_rows_sha256_before", "text_norm_mean"):
            shared[f"manifest.{name}", None] = getattr(record.manifest, name)
    for index, proof in enumerate(record.proofs):
        if proof.stage == "sft":
            field = f"proofs.{index}.trainable_parameters"
            shared[field.replace(str(index), "*"), None] = proof.trainable_parameters
    if record.budget is not None:
        shared["budget.sft_flops", record.seed] = record.budget.sft_flops
        shared["budget.extra_flops", record.seed] = record.budget.extra_flops
    if "after" not in record.method.spends:  # which trains on more of R
        task = track_task(record)
        shared[f"tasks.{task}", None] = record.tasks.get(task)
    return shared


def _compare_shared(cells: Sequence[Facts], findings: list[Finding]) -> None:
    """The cells of a setting have one backbone and, at a seed, one R and one extra budget."""
    first: dict[tuple[Any, ...], tuple[Path, Any]] = {}
    for facts in cells:
        for (field, seed), value in facts.shared.items():
            place = (facts.setting_hash, field, seed)
            path, known = first.setdefault(place, (facts.path, value))
            if not _alike(value, known):
                report = Report(str(facts.path), findings)
                report.error(field, value, f"{known}, as in {path}")


def _alike(value: Any, known: Any) -> bool:
    """Equal; figures of floats up to what float32 and the order of sums round."""
    if isinstance(value, float) and isinstance(known, float):
        exact = max(abs(value), abs(known)) > 1e6  # FLOPs, which are sums of whole numbers
        return math.isclose(value, known, rel_tol=1e-12 if exact else 1e-5)
    return bool(value == known)
