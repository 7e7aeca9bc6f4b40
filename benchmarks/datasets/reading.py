"""Reading helpers shared by the loaders: files with hashes, places in them, and clean texts."""

import gzip
import hashlib
import html
import math
import unicodedata
import zlib
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from gti.data.dataset import DataError

TEXT_FIELDS = ("title", "description", "brand", "categories", "year")
"""The canonical text fields; whatever else the files hold is not read."""

MISSING = frozenset({"", "nan", "NaN", "None", "null", "<NA>"})
"""Whole texts that pandas, Python or JSON write where a value is missing."""

LONGEST_LINE = 64 << 20
"""Bytes, beyond any item of a dataset: a file of a few kilobytes may unpack to one endless line."""

LEAST_COMMON = 0.5
"""Share of the items of interactions that the file with the texts knows, where both are of one
dataset: with fewer the two files most likely write ids in different ways."""


def read_whole(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        DataError: the file is missing, unreadable, a pipe or the like, or larger than memory.
    """
    _refuse_pipes(path)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        size = path.stat().st_size
        raise DataError(f"{path}: cannot be read: {size:,} bytes do not fit into memory") from error


def _refuse_pipes(path: Path) -> None:
    """Refuses what might never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(f"{path}: cannot be read: not a regular file")


def read_text(path: Path) -> tuple[str, str]:
    """A UTF-8 file's content (a byte-order mark is dropped) and the sha256 of its bytes.

    Raises:
        DataError: the file is missing, unreadable, empty, or not UTF-8 (with the line).
    """
    content = read_whole(path)
    if not content.strip():
        raise DataError(f"{path}: expected data, found an empty file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start : error.start + 1].hex()
        raise DataError(f"{path}, line {line}: expected UTF-8, found byte 0x{found}") from error
    return text, hashlib.sha256(content).hexdigest()


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line of a UTF-8 file, unpacked on the way where it ends in .gz.

    Raises:
        DataError: the file is missing, unreadable, truncated, no gzip file, or not UTF-8.
    """
    number = 0
    _refuse_pipes(path)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise DataError(
                        f"{path}, line {number}: expected lines of less than {LONGEST_LINE:,} bytes"
                    )
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        found = error.object[error.start : error.start + 1].hex()
        raise DataError(f"{path}, line {number}: expected UTF-8, found byte 0x{found}") from error
    except EOFError as error:
        raise DataError(
            f"{path}: the archive ends in the middle, after line {number}: it is truncated; fetch"
            " it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: expected a gzip file, found a damaged one or something else after line"
            f" {number} ({error}); fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def check_common_items(
    interactions: object, items: object, interacted: Iterable[str], known: Container[str]
) -> None:
    """Refuses two files that name their items differently.

    Args:
        interactions: the file with the interactions, for the message.
        items: the file with the items' texts, for the message.
        interacted: ids of the items that the interactions name.
        known: ids of the items that the other file names, in its order.

    Raises:
        DataError: fewer than `LEAST_COMMON` of the first are among the second; names both files
            and an id of each.
    """
    ids = list(dict.fromkeys(interacted))
    strange = [item for item in ids if item not in known]
    if len(ids) - len(strange) >= LEAST_COMMON * len(ids):
        return
    own = next(iter(known), None) if isinstance(known, Iterable) else None
    example = f"items such as {own!r}" if own is not None else "no item"
    raise DataError(
        f"{interactions} and {items} name items differently: of {len(ids)} items in the first"
        f" {len(ids) - len(strange)} are in the second; the first has items such as"
        f" {shown(strange[0])}, the second {example}; write the same ids into both"
    )


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def product_text(value: Any) -> str:
    """A shop's text: as `clean`, with HTML's character names (`&amp;`) resolved."""
    if isinstance(value, list):
        return ", ".join(part for part in map(product_text, value) if part)
    return clean(html.unescape(value) if isinstance(value, str) else value)


def clean(value: Any) -> str:
    """A field's text: white space runs become one blank; lists are joined with ", ".

    What is missing is "": null, numbers that are none (JSON's NaN), and the words of `MISSING`. The
    two halves of a surrogate pair become their character, half of one becomes U+FFFD.

    Raises:
        TypeError: the value is neither text, number, null nor a list of such.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, str):
        if not is_unicode(value):
            value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = " ".join(value.split())
        return "" if text in MISSING or not any(map(_is_visible, text)) else text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return ", ".join(part for part in map(clean, value) if part)
    raise TypeError(f"a text, number or list of texts, found {type(value).__name__}")


def _is_visible(character: str) -> bool:
    """Whether it is neither a blank nor of the kinds that show nothing, as U+200B."""
    return unicodedata.category(character) not in ("Cc", "Cf", "Zs")


def shown(value: object) -> str:
    """A value as error messages show it: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
