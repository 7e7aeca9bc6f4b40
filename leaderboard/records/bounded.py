"""Reading files of others within bounds: nothing is expanded, allocated or looped over before.

A record is anyone's to write. It may be a pipe that never ends, an archive of zeros, an array whose
header asks for a terabyte, or a number with thirty digits; each is refused in one sentence.
"""

import hashlib
import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MIB = 1 << 20
MOST_FILE_BYTES = 64 * MIB
"""Of any file beside a record; those that may be committed are smaller
(`leaderboard.verify.submission`)."""
MOST_JSON_BYTES = 16 * MIB
MOST_EXPANDED_BYTES = 64 * MIB
"""Of an archive's arrays together."""
DEEPEST = 32
LONGEST_TEXT = 100_000
LARGEST_INTEGER = 2**63 - 1
LARGEST_FLOAT = 1e40
"""Beyond any count of FLOPs; a few of them multiplied stay finite."""

_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise over a file that is no whole npz."""


class BoundsError(ValueError):
    """Content beyond the bounds, or none at all; the message says which and where in the file."""


def read_bounded(path: Path, most: int = MOST_FILE_BYTES) -> bytes:
    """The content of the regular file at `path`.

    Raises:
        OSError: it cannot be opened.
        BoundsError: it is a pipe, a folder or the like, or has more than `most` bytes.
    """
    # Without waiting: opening a pipe that nobody writes to would never return.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise BoundsError("not a regular file")
        if status.st_size > most:
            raise BoundsError(f"{status.st_size:,} bytes, more than the {most:,} that are read")
        return file.read(most + 1)[:most]


def bounded_sha256(path: Path) -> str:
    """The sha256 (hex) of the regular file at `path`; as `read_bounded` in what it refuses."""
    return hashlib.sha256(read_bounded(path)).hexdigest()


def check_values(content: Any) -> None:
    """Refuses values in parsed JSON that no record has and that arithmetic would choke on.

    Raises:
        BoundsError: too deep, too long, too large, not a number, or text that is no Unicode; names
            the field.
    """
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        problem = _problem(value, depth)
        if problem is not None:
            raise BoundsError(f"field {place or '(file)'}: {problem}")
        if isinstance(value, dict):
            for key, inner in value.items():
                if (wrong := _problem(key, depth)) is not None:
                    raise BoundsError(f"field {place or '(file)'}: a key with {wrong}")
                waiting.append((f"{place}.{key}" if place else key, inner, depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{place}.{n}", inner, depth + 1) for n, inner in enumerate(value)]


def _problem(value: Any, depth: int) -> str | None:
    """What is wrong with one value, in words."""
    if isinstance(value, (dict, list)):
        return f"nested deeper than {DEEPEST}" if depth > DEEPEST else None
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return f"a text of {len(value):,} characters"
        try:
            value.encode()
        except UnicodeEncodeError:
            return "text that is not valid Unicode"
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return f"an integer of {value.bit_length():,} bits"
    elif isinstance(value, float) and not abs(value) <= LARGEST_FLOAT:
        return (
            f"the number {value}" if math.isfinite(value) else f"{value}, which is no finite number"
        )
    return None


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the npz file at `path`, without pickles: those among `names`; None: all.

    Raises:
        OSError: it cannot be opened.
        BoundsError: no whole npz file, pickled content, or more than `MOST_EXPANDED_BYTES`.
    """
    content = read_bounded(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if names is None or info.filename.removesuffix(".npy") in names
            }
            room = MOST_EXPANDED_BYTES
            arrays = {}
            for name, info in entries.items():
                with archive.open(info) as file:
                    raw = file.read(room + 1)
                if len(raw) > room:
                    raise BoundsError(
                        f"arrays of more than {MOST_EXPANDED_BYTES // MIB} MiB when unpacked"
                    )
                room -= len(raw)
                arrays[name] = _array(name, raw)
            return arrays
    except BoundsError:
        raise
    except _DAMAGE as error:
        raise BoundsError(f"not a whole npz file without pickles: {error}") from error


def _array(name: str, raw: bytes) -> npt.NDArray[Any]:
    """The array in the bytes of one npy file, which must be as long as its header says."""
    stream = io.BytesIO(raw)
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, fortran, dtype = read[version](stream)
    if dtype.hasobject:
        raise BoundsError(f"not an npz file without pickles: array {name} holds objects")
    wanted = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or wanted != len(raw) - stream.tell():
        raise BoundsError(
            f"array {name} of shape {shape} should have {wanted:,} bytes, found"
            f" {len(raw) - stream.tell():,}"
        )
    if not wanted:  # a text of no characters has no bytes, however many there are
        if max(shape, default=0) > len(raw):
            raise BoundsError(f"array {name} of shape {shape} holds nothing")
        return np.zeros(shape, dtype)
    flat = np.frombuffer(raw, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
