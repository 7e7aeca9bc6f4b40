"""Reads the cells under results directories; what cannot be read is left out with a note."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from leaderboard.records.bounded import BoundsError, bounded_sha256
from leaderboard.records.record import (
    PROTOCOL_VERSION,
    Record,
    RecordError,
    diagnostics_path,
    find_records,
    parse_record,
    ranks_path,
    read_content,
    record_digest,
)

Done = TypeVar("Done")


class LeaderboardError(ValueError):
    """Records that must not stand on one board; the message names both and the way out."""


@dataclass(frozen=True)
class Cell:
    """A record and where it lies."""

    path: Path
    record: Record


def load_cells(
    directories: Iterable[Path], setting: str | None = None
) -> tuple[list[Cell], list[str]]:
    """The cells under the results `directories`, and a note for each file left out.

    A record is left out where it cannot be read, its digest differs, its ranks are missing or
    others than it names, or it lies in another setting's folder. Where two directories hold one
    cell, the first directory's is taken, with a note if their ranks differ.

    Args:
        directories: results directories.
        setting: read this setting's folders alone; None: all.
    """
    cells: dict[str, Cell] = {}
    notes: list[str] = []
    for directory in directories:
        for path in find_records(directory, setting):
            try:
                cell = load_cell(path)
                _check_folder(cell)
            except RecordError as error:
                notes.append(f"left out: {error}")
                continue
            except Exception as error:  # a stranger's values, beyond what is thought of
                notes.append(f"left out: {path}: values that cannot be read ({described(error)})")
                continue
            key = cell.record.cell_hash
            if key not in cells:
                cells[key] = cell
            elif cells[key].record.files.ranks != cell.record.files.ranks:
                notes.append(
                    f"{cells[key].path} and {path} are the same cell with different ranks;"
                    " the first is shown"
                )
    return list(cells.values()), notes


def described(error: Exception) -> str:
    """An exception in one short line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def without_harmful(
    cells: Sequence[Cell],
    work: Callable[[Sequence[Cell]], Done],
    trial: Callable[[Sequence[Cell]], object] | None = None,
) -> tuple[Done, list[str]]:
    """What `work` makes of `cells`, and a note for each cell that had to be left out for it.

    A cell is left out where `work` fails over it alone, though its file is whole: its values are
    none that a run can leave. `trial` is what such a cell fails alone, `work` itself where it is
    null. A `ValueError` is an answer of `work`, and raised.

    Raises:
        RecordError: `work` fails over cells of which none fails alone, or over all of them.
    """
    try:
        return work(cells), []
    except ValueError:
        raise
    except Exception as error:
        kept, notes, whole = [], [], error
    for cell in cells:
        try:
            (trial or work)([cell])
        except ValueError:
            kept.append(cell)
        except Exception as error:
            notes.append(
                f"left out: {cell.path}: values that no board can be made of ({described(error)});"
                " run verify"
            )
        else:
            kept.append(cell)
    if notes and kept:
        return work(kept), notes
    if notes:
        raise RecordError("; ".join(notes))
    raise RecordError(
        f"{cells[0].path.parent.parent}: records that no board can be made of together"
        f" ({described(whole)}); run verify"
    )


def _check_folder(cell: Cell) -> None:
    """Refuses a record in another setting's folder: boards are read folder by folder."""
    folder, name = cell.path.resolve().parent.parent.name, cell.record.setting.name
    if folder != name:
        raise RecordError(
            f"{cell.path}: a record of setting {name!r} in the folder {folder!r}; move it to"
            f" {name}/{cell.record.method.key}/"
        )


def load_cell(path: Path) -> Cell:
    """The record at `path`, if it and its sidecars are whole.

    Raises:
        RecordError: unreadable, changed since it was written, of another protocol, or a sidecar
            missing or not the one it names.
    """
    content = read_content(path)
    record = parse_record(content, str(path))
    try:
        digest = record_digest(content)
    except ValueError as error:
        raise RecordError(f"{path}: content without a canonical form: {error}") from error
    if digest != record.digest:
        raise RecordError(f"{path}: changed since it was written (digest differs); run verify")
    if record.protocol != PROTOCOL_VERSION:
        raise RecordError(
            f"{path}: protocol {record.protocol!r}, this code scores protocol {PROTOCOL_VERSION!r};"
            " scores of two protocols never mix"
        )
    _check_sidecar("ranks", ranks_path(path), record.files.ranks)
    if record.files.diagnostics is not None:
        _check_sidecar("diagnostics", diagnostics_path(path), record.files.diagnostics)
    return Cell(path, record)


def _check_sidecar(what: str, path: Path, expected: str) -> None:
    """Refuses a sidecar that is missing or another than the record names."""
    try:
        found = bounded_sha256(path)
    except OSError as error:
        raise RecordError(f"cannot read {what} {path}: {error.strerror}") from error
    except BoundsError as error:
        raise RecordError(f"cannot read {what} {path}: {error}") from error
    if found != expected:
        raise RecordError(f"{path}: not the file its record names (sha256 differs); run verify")


def beam_of(record: Record) -> int | None:
    """The beam that ranked the items; None where all items were ranked."""
    found = record.accounting or record.names
    return None if found is None else found.beam


def by_setting(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Setting hash → its cells, in the order in which they come."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.record.setting_hash, []).append(cell)
    return groups


def named_seeds(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 1, 2`."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
