"""Checks records without their author: schema, digest, sidecars, every derivable figure."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from leaderboard.canonical import digest_of
from leaderboard.findings import Finding, Report
from leaderboard.ranks import Ranks
from leaderboard.record import (
    Record,
    RecordError,
    diagnostics_path,
    find_records,
    parse_record,
    ranks_path,
    read_content,
    record_digest,
)
from leaderboard.reproductions import reproductions_path
from leaderboard.verify_fits import check_fits
from leaderboard.verify_record import (
    check_accounting,
    check_cost,
    check_curve,
    check_identity,
    check_inputs,
    check_manifest,
    check_parts,
    check_proofs,
    check_tasks,
)
from leaderboard.verify_reproductions import check_reproductions
from leaderboard.verify_sidecars import check_diagnostics, check_ranks


def verify(path: Path) -> list[Finding]:
    """All findings about the records under `path`; none if all is well.

    Args:
        path: a results directory, one setting's or one method's directory in it, or one record.
    """
    records = list(_records(path))
    if not records:
        return [
            Finding("error", str(path), "", f"no records under {path}", "SETTING/METHOD/seed-N")
        ]
    findings: list[Finding] = []
    checked: list[tuple[Path, Record, str]] = []
    for file in records:
        report = Report(str(file), findings)
        record, targets = _verify_one(report, file)
        if record is not None:
            checked.append((file, record, targets))
    _compare(checked, findings)
    if path.is_dir():
        _find_orphans(path, findings)
    return findings


def _records(path: Path) -> Iterator[Path]:
    """The record files at or under `path`."""
    if path.is_file():
        yield path
        return
    found = list(find_records(path))
    found = found or sorted(path.glob("*/seed-*.json")) or sorted(path.glob("seed-*.json"))
    yield from found


def _verify_one(report: Report, path: Path) -> tuple[Record | None, str]:
    """Checks one record; returns it and a hash of the targets it scored (empty if unknown)."""
    try:
        content = read_content(path)
    except RecordError as error:
        report.error("", str(error), "a readable record")
        return None, ""
    try:
        report.equal("digest", content.get("digest"), record_digest(content))
    except ValueError as error:  # NaN or a broken character: no canonical form, so no digest
        report.error("digest", f"content without a canonical form ({error})", "a digest")
    try:
        record = parse_record(content, str(path))
    except RecordError as error:
        report.error("(schema)", str(error).removeprefix(f"{path}: "), "the record's schema")
        return None, ""
    check_identity(report, record, path.resolve())
    check_inputs(report, record)
    check_parts(report, record)
    check_accounting(report, record)
    check_manifest(report, record)
    check_proofs(report, record)
    check_fits(report, record)
    check_tasks(report, record)
    check_curve(report, record)
    check_cost(report, record)
    ranks = check_ranks(report, record, path)
    check_diagnostics(report, record, path)
    check_reproductions(report, record, path, ranks)
    return record, "" if ranks is None else _targets_hash(ranks)


def _targets_hash(ranks: Ranks) -> str:
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


def _compare(checked: Sequence[tuple[Path, Record, str]], findings: list[Finding]) -> None:
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


INPUTS = ("dataset", "semantic_ids", "backbone", "tokenizer", "prompts", "queries")


def _compare_inputs(checked: Sequence[tuple[Path, Record, str]], findings: list[Finding]) -> None:
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


def _find_orphans(path: Path, findings: list[Finding]) -> None:
    """Sidecars without a record: a cell that was interrupted, or whose record was removed."""
    for pattern, sidecar in (
        ("seed-*.ranks.parquet", ranks_path),
        ("seed-*.diagnostics.npz", diagnostics_path),
        ("seed-*.reproductions.jsonl", reproductions_path),
    ):
        for file in sorted(path.rglob(pattern)):
            record = file.with_name(f"{file.name.partition('.')[0]}.json")
            if sidecar(record) == file and not record.exists():
                findings.append(
                    Finding("warning", str(file), "", "no record beside it", record.name)
                )
