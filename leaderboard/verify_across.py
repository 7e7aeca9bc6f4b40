"""Checks across records: seeds differ, and the cells of a setting have what they share alike."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.canonical import digest_of
from leaderboard.findings import Finding, Report
from leaderboard.ranks import Ranks
from leaderboard.record import Record
from leaderboard.verify_training import track_task

Cells = Sequence[tuple[Path, Record, str]]
"""Of each record: its file, itself, and `targets_hash`."""


def targets_hash(ranks: Ranks) -> str:
    """A hash of who was scored on what: split, user, item, grade, popularity and history.

    The first wording's rows stand for all (`check_ranks` sees to it): references have one wording.
    """
    first = ranks.where(ranks.wording == 0)
    columns = (
        first.split,
        first.user,
        first.item,
        first.grade,
        first.target_popularity,
        first.history_length,
    )
    order = np.lexsort((first.item, first.user, first.split))
    return digest_of([column[order].tolist() for column in columns])


def compare(checked: Cells, findings: list[Finding]) -> None:
    """Checks across records: seeds differ, and a setting has one input and one set of targets."""
    first_ranks: dict[tuple[str, str, str], Path] = {}
    first_of: dict[str, tuple[Path, Record, str]] = {}
    methods: dict[tuple[str, str], tuple[Path, str]] = {}
    for path, record, targets in checked:
        report = Report(str(path), findings)
        key = (record.setting_hash, record.method_hash, record.files.ranks)
        other = first_ranks.setdefault(key, path)
        if other != path and record.kind == "cell":
            report.error("files.ranks", record.files.ranks, f"other ranks than {other.name}'s")
        _, known = methods.setdefault(
            (record.setting_hash, record.method.key), (path, record.method_hash)
        )
        report.equal("method_hash (within the setting)", record.method_hash, known)
        first_path, _, first_targets = first_of.setdefault(
            record.setting_hash, (path, record, targets)
        )
        if targets and first_targets and targets != first_targets:
            found, expected = "other users or targets", f"those of {first_path}"
            report.error("files.ranks (targets)", found, expected)
    _compare_inputs(checked, findings)
    _compare_shared(checked, findings)


INPUTS = ("dataset", "semantic_ids", "backbone", "tokenizer", "prompts", "queries")


def _compare_inputs(checked: Cells, findings: list[Finding]) -> None:
    """The cells of a setting read the same inputs, those without a pin in the setting too."""
    first: dict[str, tuple[Path, Record]] = {}
    for path, record, _ in checked:
        if record.kind == "cell":
            first_path, other = first.setdefault(record.setting_hash, (path, record))
            for name in INPUTS:
                value, known = getattr(record.inputs, name), getattr(other.inputs, name)
                if value != known:
                    Report(str(path), findings).error(
                        f"inputs.{name}", value, f"{known}, as in {first_path}"
                    )


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


def _compare_shared(checked: Cells, findings: list[Finding]) -> None:
    """The cells of a setting have one backbone and, at a seed, one R and one extra budget."""
    first: dict[tuple[Any, ...], tuple[Path, Any]] = {}
    for path, record, _ in checked:
        if record.kind != "cell":
            continue
        for (field, seed), value in _shared(record).items():
            known_path, known = first.setdefault((record.setting_hash, field, seed), (path, value))
            if not _alike(value, known):
                Report(str(path), findings).error(field, value, f"{known}, as in {known_path}")


def _alike(value: Any, known: Any) -> bool:
    """Equal; figures of floats up to what float32 and the order of sums round."""
    if isinstance(value, float) and isinstance(known, float):
        exact = max(abs(value), abs(known)) > 1e6  # FLOPs, which are sums of whole numbers
        return math.isclose(value, known, rel_tol=1e-12 if exact else 1e-5)
    return bool(value == known)
