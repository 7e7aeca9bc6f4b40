"""Reading helpers shared by the loaders: files with hashes, places in them, and clean texts."""

import hashlib
from pathlib import Path
from typing import Any

from gti.dataset import DataError

TEXT_FIELDS = ("title", "description", "brand", "categories", "year")
"""The canonical text fields; whatever else the files hold is not read."""


def read_text(path: Path) -> tuple[str, str]:
    """A UTF-8 file's content (a byte-order mark is dropped) and the sha256 of its bytes.

    Raises:
        DataError: the file is missing, unreadable, empty, or not UTF-8 (with the line).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not content.strip():
        raise DataError(f"{path}: expected data, found an empty file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start : error.start + 1].hex()
        raise DataError(f"{path}, line {line}: expected UTF-8, found byte 0x{found}") from error
    return text, hashlib.sha256(content).hexdigest()


def clean(value: Any) -> str:
    """A field's text: white space runs become one blank; lists are joined with ", "; null is "".

    Raises:
        TypeError: the value is neither text, number, null nor a list of such.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return ", ".join(part for part in map(clean, value) if part)
    raise TypeError(f"a text, number or list of texts, found {type(value).__name__}")


def shown(value: object) -> str:
    """A value as error messages show it: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
