"""The diagnostics file: spectra, cosine matrices and nearest words per stage, without pickles.

A cosine matrix is stored as its upper triangle in steps of 2^-11, those of float16 just below one:
int16 numbers, all low bytes before all high ones. High bytes are much alike, so zip stores less.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboard.records.bounded import BoundsError, read_arrays
from leaderboard.records.record import RecordError

VALUES = ("singular_values", "singular_values_centred")
PLANES, LABELS, CODES, WORDS = "cosine_planes", "cosine_labels", "codes", "nearest_words"
TEXT = -1
"""Label of text rows in `cosine_labels`; new rows carry their level."""
COSINE_STEP = 2.0**-11
"""Stored cosines are multiples of it."""


MOST_ROWS = 2_048
"""Rows whose cosines are kept: those of a few levels, some tens each."""


class DiagnosticsError(RecordError):
    """A diagnostics file that cannot be used; the message names the file and the array."""


@dataclass(frozen=True, eq=False)
class StageArrays:
    """What is kept of one stage's rows.

    Args:
        singular_values: [d] float32, descending.
        singular_values_centred: [d] float32, of the rows less their mean.
        cosine: [m, m] float64, multiples of `COSINE_STEP`: text rows and then rows of each level.
        cosine_labels: [m] integer, -1 for text, else the level.
        codes: [n] str, the tokens of the codes that some item uses.
        nearest_words: [n, k] str, the words nearest to each code, best first; empty: none left.
    """

    singular_values: npt.NDArray[np.float32]
    singular_values_centred: npt.NDArray[np.float32]
    cosine: npt.NDArray[np.float64]
    cosine_labels: npt.NDArray[np.int16]
    codes: npt.NDArray[np.str_]
    nearest_words: npt.NDArray[np.str_]


def packed(stage: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of `stage` under the names, and in the form, that the file has.

    Args:
        stage: init, grounding or sft.
        arrays: by the names of `StageArrays`; `cosine` [m, m] symmetric, of any float type.
    """
    cosine = arrays["cosine"]
    upper = cosine[np.triu_indices(len(cosine))].astype(np.float64)
    steps = np.round(upper / COSINE_STEP).astype("<i2")
    planes = np.ascontiguousarray(steps.view(np.uint8).reshape(-1, 2).T)
    kept = {name: array for name, array in arrays.items() if name != "cosine"}
    return {f"{stage}/{name}": array for name, array in (kept | {PLANES: planes}).items()}


def read_diagnostics(path: Path) -> dict[str, StageArrays]:
    """Stage → arrays of the diagnostics file at `path`, checked.

    Raises:
        DiagnosticsError: a missing or damaged file, pickled content, a missing or ill-formed array.
    """
    arrays = _read(path)
    stages = list(dict.fromkeys(name.partition("/")[0] for name in arrays))
    return {stage: _stage(path, stage, arrays) for stage in stages}


def read_words(path: Path, stage: str) -> dict[str, tuple[str, ...]]:
    """Token of each used code → its nearest words after `stage`, best first.

    Nothing else of the diagnostics file at `path` is read; empty where it lacks the stage.

    Raises:
        DiagnosticsError: as `read_diagnostics`.
    """
    arrays = _read(path, (f"{stage}/{CODES}", f"{stage}/{WORDS}"))
    if not arrays:
        return {}
    codes, words = _words(path, stage, arrays)
    return {
        code: tuple(word for word in near if word)
        for code, near in zip(codes.tolist(), words.tolist(), strict=True)
    }


def _read(path: Path, names: tuple[str, ...] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the file at `path`: those among `names` that it has; None: all."""
    try:
        return read_arrays(path, names)
    except OSError as error:
        raise DiagnosticsError(
            f"cannot read diagnostics {path}: {error.strerror or error}"
        ) from error
    except BoundsError as error:
        raise DiagnosticsError(f"{path}: {error}") from error


def _stage(path: Path, stage: str, arrays: Mapping[str, npt.NDArray[Any]]) -> StageArrays:
    """The arrays of `stage`, checked."""
    plain, centred = (_found(path, stage, name, "fi", arrays) for name in VALUES)
    for name, each in zip(VALUES, (plain, centred), strict=True):
        if each.ndim != 1 or (each < 0).any() or (np.diff(each) > 0).any():
            raise DiagnosticsError(
                f"{path}: array {stage}/{name} must be [d], descending, none negative"
            )
    labels = _found(path, stage, LABELS, "i", arrays)
    if labels.ndim != 1 or len(labels) > MOST_ROWS:
        raise DiagnosticsError(
            f"{path}: array {stage}/{LABELS} must be [m], m at most {MOST_ROWS}, found"
            f" {labels.shape}"
        )
    cosine = _unpacked(path, stage, _found(path, stage, PLANES, "u", arrays), len(labels))
    return StageArrays(plain, centred, cosine, labels, *_words(path, stage, arrays))


def _unpacked(
    path: Path, stage: str, planes: npt.NDArray[Any], size: int
) -> npt.NDArray[np.float64]:
    """[size, size] cosines, from the bytes of their upper triangle."""
    shape = (2, size * (size + 1) // 2)
    if planes.shape != shape or planes.dtype != np.uint8:
        raise DiagnosticsError(
            f"{path}: array {stage}/{PLANES} is {planes.dtype} {planes.shape}, expected uint8"
            f" {shape} for {size} labels"
        )
    upper = np.ascontiguousarray(planes.T).view("<i2").reshape(-1) * COSINE_STEP
    if np.abs(upper).max(initial=0.0) > 1:
        raise DiagnosticsError(f"{path}: array {stage}/{PLANES} holds what is not in -1 to 1")
    cosine = np.zeros((size, size))
    above = np.triu_indices(size)
    cosine[above] = upper
    cosine.T[above] = upper
    return cosine


def _words(
    path: Path, stage: str, arrays: Mapping[str, npt.NDArray[Any]]
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Codes and their nearest words, checked."""
    codes, words = (_found(path, stage, name, "U", arrays) for name in (CODES, WORDS))
    if codes.ndim != 1 or words.ndim != 2 or len(words) != len(codes):
        raise DiagnosticsError(
            f"{path}: array {stage}/{WORDS} is {words.shape}, expected [n, k] for the [n]"
            f" {CODES}, which are {codes.shape}"
        )
    return codes, words


def _found(
    path: Path, stage: str, name: str, kinds: str, arrays: Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """The array `name` of `stage`, of one of numpy's `kinds` of numbers or texts."""
    key = f"{stage}/{name}"
    if key not in arrays:
        raise DiagnosticsError(f"{path}: array {key} is missing")
    array = arrays[key]
    if array.dtype.kind not in kinds or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        wanted = "text" if kinds == "U" else "finite numbers"
        raise DiagnosticsError(f"{path}: array {key} holds {array.dtype}, expected {wanted}")
    return array
