"""The Semantic IDs' artefact that records name by hash, read without what made it.

It lies at `<results>/inputs/<sha256>.npz`; the hash is over its content, by the rule of
`gti.data.semantic_ids`, which this package does not import.
"""

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leaderboard.records.bounded import BoundsError, read_arrays
from leaderboard.records.record import RecordError
from leaderboard.records.specs import MOST_CODES, MOST_LEVELS


class SemanticIdsFileError(RecordError):
    """An artefact that cannot be used; the message names the file."""


@dataclass(frozen=True, eq=False)
class SemanticIdsFile:
    """What an artefact holds.

    Args:
        codes: [items, levels] int64.
        num_codes: codes per level.
        codebooks: [levels, num_codes, code_dim] float16, or None.
        sha256: of the content.
    """

    codes: npt.NDArray[np.int64]
    num_codes: int
    codebooks: npt.NDArray[np.float16] | None
    sha256: str

    @functools.cached_property
    def used(self) -> npt.NDArray[np.bool_]:
        """[levels, num_codes] whether any item carries the code."""
        used = np.zeros((self.codes.shape[1], self.num_codes), dtype=bool)
        for level in range(self.codes.shape[1]):
            used[level, self.codes[:, level]] = True
        return used

    @functools.cached_property
    def distinct(self) -> int:
        """Number of distinct Semantic IDs."""
        return len(np.unique(self.codes, axis=0))


def artefact_path(record: Path, sha256: str) -> Path:
    """Where the artefact of the record file `record` lies: beside the settings' directories."""
    return record.resolve().parent.parent.parent / "inputs" / f"{sha256}.npz"


def read_semantic_ids(path: Path) -> SemanticIdsFile:
    """Reads the artefact at `path` and hashes what it holds; once for a file that stays as it is.

    Raises:
        SemanticIdsFileError: a missing or damaged file, pickled content, arrays that do not fit.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SemanticIdsFileError(f"cannot read {path}: {error.strerror or error}") from error
    return _read(path, (status.st_mtime_ns, status.st_size, status.st_ino))


@functools.lru_cache(maxsize=4)
def _read(path: Path, _state: tuple[int, ...]) -> SemanticIdsFile:
    """Reads the artefact at `path` in its present `_state`."""
    try:
        arrays = read_arrays(path, ("codes", "num_codes", "codebooks", "description"))
        codes, stated = arrays["codes"], arrays["num_codes"]
        codebooks = arrays.get("codebooks")
        description: dict[str, str] = json.loads(str(arrays["description"]))
        parts = sorted(description.items())
    except OSError as error:
        raise SemanticIdsFileError(f"cannot read {path}: {error.strerror or error}") from error
    except (BoundsError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SemanticIdsFileError(f"{path}: not a Semantic IDs artefact: {error}") from error
    if stated.size != 1 or stated.dtype.kind not in "iu" or not 1 <= stated.max() <= MOST_CODES:
        raise SemanticIdsFileError(f"{path}: num_codes must be one number up to {MOST_CODES:,}")
    num_codes = int(stated.max())
    whole = codes.ndim == 2 and codes.dtype.kind in "iu" and codes.size
    if not whole or codes.shape[1] > MOST_LEVELS or codes.min() < 0 or codes.max() >= num_codes:
        raise SemanticIdsFileError(
            f"{path}: codes must be [items, levels] in [0, {num_codes}), {MOST_LEVELS} levels at"
            f" most; found {codes.dtype} of shape {codes.shape}"
        )
    codes = codes.astype(np.int64)
    if codebooks is not None and (
        codebooks.ndim != 3 or codebooks.shape[:2] != (codes.shape[1], num_codes)
    ):
        raise SemanticIdsFileError(f"{path}: codebooks of shape {codebooks.shape} do not fit")
    digest = hashlib.sha256(json.dumps([[*codes.shape, num_codes], parts]).encode())
    digest.update(codes.astype("<i8").tobytes())
    if codebooks is not None:
        digest.update(json.dumps(codebooks.shape).encode())
        digest.update(codebooks.astype("<f2").tobytes())
    return SemanticIdsFile(codes, num_codes, codebooks, digest.hexdigest())
