"""Loader for MovieLens-1M as GroupLens publishes it: `ratings.dat` and `movies.dat`, or the zip.

Fields are separated by `::`, texts are latin-1. Every rating counts as an interaction, whatever its
value; films that nobody rated stay items.
"""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets.log import Log, ordered, to_dataset
from benchmarks.datasets.reading import clean, shown
from benchmarks.datasets.recbole_atomic import natural_title
from gti.data.dataset import DataError, Dataset, Provenance

ARCHIVE = "ml-1m.zip"
_RATINGS, _MOVIES = "ratings.dat", "movies.dat"
_TITLE = re.compile(r"(?P<title>.*\S)\s*\((?P<year>\d{4})\)")


def movielens_files(folder: Path) -> bool:
    """Whether `folder` holds the zip, or both files, or a folder `ml-1m` with both."""
    return (folder / ARCHIVE).is_file() or _unpacked(folder) is not None


def load_movielens(folder: Path, name: str, source: str, licence: str) -> Dataset:
    r"""Reads the two files, or `ml-1m.zip` without unpacking it.

    Args:
        folder: as for `movielens_files`.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.

    Returns:
        Items in the order of `movies.dat`, users in that of `ratings.dat`, histories by timestamp;
        equal timestamps by sha256 of "<user>\t<item>".

    Raises:
        DataError: a file is missing, malformed or truncated; names file, line, expected, found.
    """
    content = _contents(folder)
    texts = dict(_movies(*content[_MOVIES]))
    log = Log.of(_ratings(*content[_RATINGS]), texts)
    provenance = Provenance(
        source=source,
        licence=licence,
        files={file: hashlib.sha256(data).hexdigest() for file, (_, data) in content.items()},
        counts=log.counts,
    )
    return to_dataset(ordered(log), name, lambda _: texts, provenance)


def _unpacked(folder: Path) -> Path | None:
    for place in (folder, folder / "ml-1m"):
        if all((place / file).is_file() for file in (_RATINGS, _MOVIES)):
            return place
    return None


def _contents(folder: Path) -> dict[str, tuple[str, bytes]]:
    """File name → its place as messages name it, and its bytes."""
    place = _unpacked(folder)
    if place is not None:
        return {
            file: (str(place / file), (place / file).read_bytes()) for file in (_RATINGS, _MOVIES)
        }
    path = folder / ARCHIVE
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                file: (f"{path}, {file}", archive.read(f"ml-1m/{file}"))
                for file in (_RATINGS, _MOVIES)
            }
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path}: expected a zip file with ml-1m/{_RATINGS} and ml-1m/{_MOVIES}, but it cannot"
            f" be read ({error}); it may be truncated: fetch it again"
        ) from error


def _rows(place: str, content: bytes, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row."""
    if not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            raise DataError(
                f"{place}: expected latin-1, as GroupLens publishes it, found UTF-8; use the"
                " original file"
            )
    for number, line in enumerate(content.decode("latin-1").split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("::")
        if len(fields) != len(names) or not fields[0] or not fields[1]:
            raise DataError(
                f"{place}, line {number}: expected {'::'.join(names)}, found {shown(line)}"
            )
        yield number, fields


def _movies(place: str, content: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """Item id and texts of each film."""
    seen = set()
    for number, (item, title, genres) in _rows(place, content, ("MovieID", "Title", "Genres")):
        if item in seen:
            raise DataError(f"{place}, line {number}: MovieID {item!r} stands twice")
        seen.add(item)
        match = _TITLE.fullmatch(clean(title))
        fields = {
            "title": natural_title(match["title"] if match else clean(title)),
            "year": match["year"] if match else "",
            "categories": clean(genres.split("|")),
        }
        yield item, {field: text for field, text in fields.items() if text}


def _ratings(place: str, content: bytes) -> Iterator[tuple[str, str, float]]:
    """User id, item id and time of each rating."""
    found = False
    names = ("UserID", "MovieID", "Rating", "Timestamp")
    for number, (user, item, _, time) in _rows(place, content, names):
        if not time.isdecimal():
            raise DataError(
                f"{place}, line {number}: expected a Timestamp (whole seconds), found {time!r}"
            )
        found = True
        yield user, item, float(time)
    if not found:
        raise DataError(f"{place}: expected ratings, found none")
