"""At home: what a run on the GPU machine left, merged into the records that are here."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.lease.pieces import MANIFEST, LeaseError, join_pieces
from benchmarks.lease.run import HOME, step_line
from benchmarks.machine.places import COMMITTED_RESULTS
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.cells import load_cell
from leaderboard.records.record import (
    Record,
    RecordError,
    diagnostics_path,
    find_records,
    ranks_path,
    read_record,
)


@dataclass
class Merge:
    """What became of the records that were brought, each by its path in a results directory."""

    new: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def bring_home(folder: Path, results: Path | None = None) -> int:
    """Tells what was run, merges records, and says where checkpoints lie; returns the exit code.

    Args:
        folder: the pieces that were packed, or the whole folder that `run` wrote, where it was
            killed before it packed.
        results: where records go; null: the committed board.

    Returns:
        0, or 1 where a record is in conflict or refused.

    Raises:
        LeaseError: a piece is missing or damaged, or there is nothing of a run.
    """
    brought = _brought(folder)
    summary = brought / "summary.json"
    if summary.is_file():
        for step in json.loads(summary.read_text(encoding="utf-8"))["steps"]:
            print(step_line(step))
        print(f"logs: {brought / 'logs'}")
    merge = merge_results(brought / "results", results or COMMITTED_RESULTS)
    for what, found in vars(merge).items():
        print(f"{what}: {len(found)}")
        for line in found:
            print(f"  {line}")
    under_way = sorted((brought / "results").glob("*/*/seed-*.checkpoint"))
    if under_way:
        print(
            f"under way: {len(under_way)}; `pack --results {brought / 'results'}` goes on with them"
        )
        for path in under_way:
            print(f"  {path.relative_to(brought / 'results')}")
    return int(bool(merge.conflicts or merge.refused))


def _brought(folder: Path) -> Path:
    """The folder with results and logs, joined from pieces where they are such."""
    if (folder / MANIFEST).is_file():
        joined = folder / "joined"
        join_pieces(folder, joined)
        # Archives share paths in `results`, which is where they are to lie together.
        whole = folder / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        for archive in ("records", "checkpoints"):
            if (joined / archive).is_dir():
                shutil.copytree(joined / archive, whole, dirs_exist_ok=True)
        return whole
    if (folder / "results").is_dir() or (folder / "summary.json").is_file():
        return folder
    raise LeaseError(
        f"{folder} holds no {MANIFEST} and no results; name the folder `{HOME}` that was brought,"
        " or all that the run left"
    )


def merge_results(brought: Path, results: Path) -> Merge:
    """Copies whole records that are not in `results`; what lies there is never touched.

    A record of the same cell with the same ranks is the same one, run again: times, machine and
    digest may differ.

    Args:
        brought: a results directory.
        results: the one that takes the records.
    """
    merge = Merge()
    for path in find_records(brought):
        name = path.relative_to(brought).as_posix()
        target = results / name
        try:
            record = load_cell(path).record
        except RecordError as error:
            merge.refused.append(str(error))
            continue
        if not target.exists():
            _copy_record(path, record, brought, results)
            merge.new.append(f"{name}  {_score(record)}")
            continue
        try:
            own = read_record(target)
        except RecordError as error:
            merge.conflicts.append(f"{name}: the one here cannot be read ({error}); left as it is")
            continue
        if own.cell_hash == record.cell_hash and own.files.ranks == record.files.ranks:
            merge.same.append(name)
        else:
            what = "the same cell" if own.cell_hash == record.cell_hash else "another cell"
            merge.conflicts.append(
                f"{name}: of {what} with other ranks: here {_score(own)}, brought"
                f" {_score(record)}; the one here is kept"
            )
    return merge


def _score(record: Record) -> str:
    """The main score and the machine."""
    value = record.metrics["test"].get(MAIN_METRIC)
    shown = "none" if value is None else f"{value:.4f}"
    return f"{MAIN_METRIC} {shown} on {record.environment.machine}"


def _copy_record(path: Path, record: Record, brought: Path, results: Path) -> None:
    """Copies the Semantic IDs that it names and its sidecars, and it itself last."""
    target = results / path.relative_to(brought)
    target.parent.mkdir(parents=True, exist_ok=True)
    for sidecar in (ranks_path, diagnostics_path):
        if sidecar(path).is_file():
            shutil.copy2(sidecar(path), sidecar(target))
    for artefact in sorted((brought / "inputs").glob("*.npz")):
        if artefact.stem == record.inputs.semantic_ids:
            kept = results / "inputs" / artefact.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            if not kept.exists():
                shutil.copy2(artefact, kept)
    scratch = target.with_suffix(".tmp")
    shutil.copy2(path, scratch)
    scratch.replace(target)
