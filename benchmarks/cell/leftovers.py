"""What a cell that was killed leaves beside its record: a checkpoint, and files half written."""

import shutil
from pathlib import Path

from leaderboard.records.record import diagnostics_path, ranks_path


def checkpoint_folder(record: Path) -> Path:
    """Where the checkpoint of the cell or trial lies whose record will be `record`."""
    return record.with_suffix(".checkpoint")


def leftovers(record: Path) -> list[Path]:
    """What lies beside `record` that nothing needs once it stands and nobody writes there."""
    folder = checkpoint_folder(record)
    files = (record, ranks_path(record), diagnostics_path(record))
    half_written = [path for file in files for path in record.parent.glob(f".{file.name}.*.tmp")]
    return [*([folder] if folder.is_dir() else []), *half_written]


def remove_leftovers(record: Path) -> None:
    """Removes `leftovers`, as far as the file system lets it: they are in nobody's way."""
    for path in leftovers(record):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
