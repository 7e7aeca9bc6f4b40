"""Canonical JSON, its sha256, and files that appear whole or not at all."""

import errno
import hashlib
import json
import os
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

_OBEYED = frozenset({"Cc", "Cf", "Cs"})
"""Unicode's categories of controls, of format signs, and of halves of surrogate pairs."""


def canonical_json(content: Any) -> bytes:
    """`content` as UTF-8 JSON with sorted keys and no spaces: one value, one byte string.

    Raises:
        ValueError: a NaN or infinity, which JSON does not have.
    """
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of(content: Any) -> str:
    """The sha256 (hex) of `content`'s canonical JSON."""
    return hashlib.sha256(canonical_json(content)).hexdigest()


def printable(text: str) -> str:
    """`text` with U+FFFD for what a terminal would obey instead of showing.

    Those are escapes and other controls, signs that turn the direction of writing, and halves of
    surrogate pairs; ends of lines and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        "\ufffd" if unicodedata.category(sign) in _OBEYED and sign not in "\n\t" else sign
        for sign in text
    )


def readable_json(content: Any) -> bytes:
    """`content` as UTF-8 JSON for people and diffs: sorted keys, each list of scalars on one line.

    Raises:
        ValueError: a NaN or infinity, which JSON does not have.
    """
    return (_readable(content, "\n") + "\n").encode()


def _readable(value: Any, newline: str) -> str:
    """`value` as JSON text; `newline` is a line break with the indent of the line it stands on."""
    inner = f"{newline} "
    if isinstance(value, dict) and value:
        lines = [f"{_scalar(key)}: {_readable(value[key], inner)}" for key in sorted(value)]
        return f"{{{inner}{f',{inner}'.join(lines)}{newline}}}"
    if isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        return f"[{inner}{f',{inner}'.join(_readable(each, inner) for each in value)}{newline}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """What stands on one line: a scalar, a list of them, or an empty object."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def file_sha256(path: Path) -> str:
    """The sha256 (hex) of the regular file at `path`.

    Raises:
        OSError: it cannot be read, or is a pipe or the like, which might never end.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to `path` so that a kill at any moment leaves the old file or the new one.

    Raises:
        OSError: the disk is full or the directory cannot be written; names `path`, and no partial
            file is left.
    """
    try:
        _write_and_move(path, content)
    except OSError as error:
        advice = "nothing is written; make room there or choose another directory"
        raise OSError(error.errno, f"{error.strerror}: {advice}", str(path)) from error


def _write_and_move(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
