"""The diagnostics file: spectra and cosine matrices per stage, read with pickling off."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboard.records.record import RecordError

ARRAYS = ("singular_values", "singular_values_centred", "cosine", "cosine_labels")
TEXT = -1
"""Label of text rows in `cosine_labels`; new rows carry their level."""


_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise over a file that is no whole npz."""


class DiagnosticsError(RecordError):
    """A diagnostics file that cannot be used; the message names the file and the array."""


@dataclass(frozen=True)
class StageArrays:
    """What is kept of one stage's rows.

    Args:
        singular_values: [d] float32, descending.
        singular_values_centred: [d] float32, of the rows less their mean.
        cosine: [m, m] float32, text rows and then rows of each level.
        cosine_labels: [m] integer, -1 for text, else the level.
    """

    singular_values: npt.NDArray[np.float32]
    singular_values_centred: npt.NDArray[np.float32]
    cosine: npt.NDArray[np.float32]
    cosine_labels: npt.NDArray[np.int16]


def read_diagnostics(path: Path) -> dict[str, StageArrays]:
    """Stage → arrays of the diagnostics file at `path`, checked.

    Raises:
        DiagnosticsError: a missing or damaged file, pickled content, a missing or ill-formed array.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        # Opened here: numpy leaves a damaged archive open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            for name in file.files:
                arrays[name] = file[name]
    except OSError as error:
        raise DiagnosticsError(
            f"cannot read diagnostics {path}: {error.strerror or error}"
        ) from error
    except _DAMAGE as error:
        raise DiagnosticsError(f"{path}: not a whole npz file without pickles: {error}") from error
    stages = list(dict.fromkeys(name.partition("/")[0] for name in arrays))
    return {stage: _stage(path, stage, arrays) for stage in stages}


def _stage(path: Path, stage: str, arrays: dict[str, npt.NDArray[Any]]) -> StageArrays:
    """The arrays of `stage`, checked."""
    found = {}
    for name in ARRAYS:
        key = f"{stage}/{name}"
        if key not in arrays:
            raise DiagnosticsError(f"{path}: array {key} is missing")
        if arrays[key].dtype.kind not in "fi" or not np.isfinite(arrays[key]).all():
            raise DiagnosticsError(f"{path}: array {key} holds what is no finite number")
        found[name] = arrays[key]
    result = StageArrays(**found)
    for name in ("singular_values", "singular_values_centred"):
        values = found[name]
        if values.ndim != 1 or (values < 0).any() or (np.diff(values) > 0).any():
            raise DiagnosticsError(
                f"{path}: array {stage}/{name} must be [d], descending, none negative"
            )
    size = len(result.cosine_labels)
    if result.cosine_labels.ndim != 1 or result.cosine.shape != (size, size):
        raise DiagnosticsError(
            f"{path}: array {stage}/cosine is {result.cosine.shape}, expected {(size, size)} for"
            f" {size} labels"
        )
    if not np.allclose(result.cosine, result.cosine.T, atol=1e-5):
        raise DiagnosticsError(f"{path}: array {stage}/cosine is not symmetric")
    if size and np.abs(result.cosine).max() > 1 + 1e-5:
        raise DiagnosticsError(f"{path}: array {stage}/cosine holds values beyond 1")
    return result
