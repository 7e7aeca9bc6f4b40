"""Loader for MovieLens as GroupLens publishes it: `ratings` and `movies` as `.dat` or as `.csv`.

`.dat` (1M, 10M): fields are separated by `::`; 1M's texts are latin-1, later ones UTF-8. `.csv`
(20M, 25M, 32M, latest): with a header, quoted where a field holds a comma, UTF-8. Every rating
counts as an interaction, whatever its value; films that nobody rated stay items.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets.log import Log, ordered, to_dataset
from benchmarks.datasets.reading import (
    check_common_items,
    clean,
    read_lines,
    read_text,
    read_whole,
    shown,
)
from benchmarks.datasets.recbole_atomic import natural_title
from benchmarks.datasets.stored import file_hashes, stored_or_made
from gti.data.dataset import DataError, Dataset, Provenance

_RATINGS, _MOVIES = "ratings.dat", "movies.dat"
_CSV_RATINGS, _CSV_MOVIES = "ratings.csv", "movies.csv"
_CSV_HEADERS = {
    _CSV_RATINGS: ["userId", "movieId", "rating", "timestamp"],
    _CSV_MOVIES: ["movieId", "title", "genres"],
}
_TITLE = re.compile(r"(?P<title>.*\S)\s*\((?P<year>\d{4})\)")
_NO_GENRES = "(no genres listed)"


def movielens_pair(folder: Path) -> tuple[Path, Path] | None:
    """Ratings and movies that lie in `folder` unpacked, of one form; null where there are none."""
    for ratings, movies in ((_CSV_RATINGS, _CSV_MOVIES), (_RATINGS, _MOVIES)):
        if (folder / ratings).is_file() and (folder / movies).is_file():
            return folder / ratings, folder / movies
    return None


def load_movielens_folder(folder: Path, name: str, source: str, licence: str) -> Dataset:
    r"""Reads any edition's two files; what is made is kept in the cache, by the files' hashes.

    Args:
        folder: that `movielens_pair` finds the two files in.
        name: what the dataset is to be called.
        source: for the provenance.
        licence: for the provenance.

    Returns:
        Items in the order of the movies, users in that of the ratings, histories by timestamp;
        equal timestamps by sha256 of "<user>\t<item>".

    Raises:
        DataError: a file is missing, malformed or truncated; names file, line, expected, found.
        CacheError: the cache is full or cannot be written.
    """
    pair = movielens_pair(folder)
    if pair is None:
        raise DataError(
            f"{folder}: expected {_CSV_RATINGS} with {_CSV_MOVIES}, or {_RATINGS} with {_MOVIES}"
        )
    ratings, movies = pair
    files = file_hashes([ratings, movies])

    def make() -> Dataset:
        texts = dict(_movies(str(movies), _film_rows(movies)))
        log = Log.of(_ratings(str(ratings), _rating_rows(ratings)), texts)
        _check_films(ratings, movies, log, texts)
        provenance = Provenance(source, licence, files, counts=log.counts)
        return to_dataset(ordered(log), name, lambda _: texts, provenance)

    about = {"loader": "movielens", "name": name, "source": source, "licence": licence}
    return stored_or_made({**about, **files}, make)


def _check_films(
    ratings: object, movies: object, log: Log, texts: dict[str, dict[str, str]]
) -> None:
    """The films that were rated are those that have a title."""
    rated = (log.item_ids[film] for film in dict.fromkeys(log.items.tolist()))
    check_common_items(ratings, movies, rated, texts)


def _rating_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each rating, read as it goes: there may be tens of millions."""
    if path.suffix == ".csv":
        yield from _csv_rows(path, (line for _, line in read_lines(path)))
        return
    for number, line in read_lines(path):
        if line.strip():
            yield number, _fields(str(path), number, line, _RATING_NAMES)


def _film_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each film."""
    if path.suffix == ".csv":
        yield from _csv_rows(path, io.StringIO(read_text(path)[0], newline=""))
        return
    content = read_whole(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:  # as of 1M
        text = content.decode("latin-1")
    yield from _dat_rows(str(path), text, _FILM_NAMES)


def _csv_rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number (of the row's last line) and fields of each row after the header."""
    reader = csv.reader(lines, strict=True)
    expected = _CSV_HEADERS[path.name]
    try:
        header = next(reader, [])
        if header != expected:
            raise DataError(
                f"{path}, line 1: expected {','.join(expected)}, found {shown(','.join(header))}"
            )
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(expected) or not fields[0] or not fields[1]:
                raise DataError(
                    f"{path}, line {reader.line_num}: expected {','.join(expected)}, found"
                    f" {shown(','.join(fields))}"
                )
            yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: expected CSV ({error}); the file may be truncated"
        ) from error


_RATING_NAMES = ("UserID", "MovieID", "Rating", "Timestamp")
_FILM_NAMES = ("MovieID", "Title", "Genres")


def _dat_rows(place: str, text: str, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row of `text`."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _fields(place, number, line, names)


def _fields(place: str, number: int, line: str, names: tuple[str, ...]) -> list[str]:
    """The fields of one line of a `.dat` file."""
    fields = line.rstrip("\r").split("::")
    if len(fields) != len(names) or not fields[0] or not fields[1]:
        raise DataError(f"{place}, line {number}: expected {'::'.join(names)}, found {shown(line)}")
    return fields


def _movies(
    place: str, rows: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Item id and texts of each film."""
    seen = set()
    for number, (item, title, genres) in rows:
        if item in seen:
            raise DataError(f"{place}, line {number}: MovieID {item!r} stands twice")
        seen.add(item)
        match = _TITLE.fullmatch(clean(title))
        fields = {
            "title": natural_title(match["title"] if match else clean(title)),
            "year": match["year"] if match else "",
            "categories": "" if genres.strip() == _NO_GENRES else clean(genres.split("|")),
        }
        yield item, {field: text for field, text in fields.items() if text}


def _ratings(place: str, rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[str, str, float]]:
    """User id, item id and time of each rating."""
    found = False
    for number, (user, item, _, time) in rows:
        if not time.isdecimal():
            raise DataError(
                f"{place}, line {number}: expected a Timestamp (whole seconds), found {time!r}"
            )
        found = True
        yield user, item, float(time)
    if not found:
        raise DataError(f"{place}: expected ratings, found none")
