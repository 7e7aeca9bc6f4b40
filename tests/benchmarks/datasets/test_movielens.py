"""Tests of the MovieLens-1M loader on small files of its shape, plain and zipped."""

import zipfile
from pathlib import Path

import pytest

from benchmarks.datasets.movielens import (
    load_movielens,
    load_movielens_folder,
    movielens_files,
)
from gti.data.dataset import DataError, Dataset

MOVIES = """1::Toy Story (1995)::Animation|Children's|Comedy
2::Godfather, The (1972)::Drama
73::Misérables, Les (1995)::Drama|Musical
9::Untitled::
""".encode("latin-1")
RATINGS = b"7::2::5::300\n7::1::1::100\n3::73::3::50\n7::73::4::200\n3::1::3::40\n"


def write(folder: Path, ratings: bytes = RATINGS, movies: bytes = MOVIES) -> Path:
    (folder / "ratings.dat").write_bytes(ratings)
    (folder / "movies.dat").write_bytes(movies)
    return folder


def write_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "ml-1m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml-1m/ratings.dat", RATINGS)
        archive.writestr("ml-1m/movies.dat", MOVIES)
    return folder / "ml-1m.zip"


def load(folder: Path) -> Dataset:
    return load_movielens(folder, "ml-1m", "a test", "none")


def test_films_texts_and_histories_by_time(tmp_path: Path) -> None:
    dataset = load(write(tmp_path))
    assert dataset.item_ids == ("1", "2", "73", "9")
    assert dataset.texts == (
        {"title": "Toy Story", "year": "1995", "categories": "Animation, Children's, Comedy"},
        {"title": "The Godfather", "year": "1972", "categories": "Drama"},
        {"title": "Les Misérables", "year": "1995", "categories": "Drama, Musical"},
        {"title": "Untitled"},
    )
    assert dataset.user_ids == ("7", "3")
    assert [history.tolist() for history in dataset.histories] == [[0, 2, 1], [0, 2]]
    assert dataset.provenance.counts["interactions in the files"] == 5


def test_zip_and_inner_folder_hold_the_same_data(tmp_path: Path) -> None:
    plain, zipped, inner = (tmp_path / name for name in ("plain", "zipped", "inner"))
    for folder in (plain, zipped, inner / "ml-1m"):
        folder.mkdir(parents=True)
    write_zip(zipped)
    write(inner / "ml-1m")
    wanted = load(write(plain))
    assert load(zipped).sha256 == load(inner).sha256 == wanted.sha256
    assert load(zipped).provenance.files == wanted.provenance.files
    assert [movielens_files(folder) for folder in (plain, zipped, inner)] == [True] * 3
    assert not movielens_files(tmp_path)


def test_truncated_zip_says_so(tmp_path: Path) -> None:
    path = write_zip(tmp_path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"ml-1m\.zip: expected a zip file .* truncated"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("ratings", "movies", "message"),
    [
        (b"1::2::3\n", MOVIES, r"ratings\.dat, line 1: expected UserID::MovieID::Rating::Time"),
        (RATINGS + b"1::2::5::noon\n", MOVIES, r"ratings\.dat, line 6: .*'noon'"),
        (b"\n", MOVIES, r"ratings\.dat: expected ratings, found none"),
        (RATINGS, b"1::A (1990)::X\n1::B (1990)::X\n", "line 2: MovieID '1' stands twice"),
        (RATINGS, b"1::A\n", "line 1: expected MovieID::Title::Genres"),
        (RATINGS, MOVIES.decode("latin-1").encode(), "expected latin-1, .* found UTF-8"),
    ],
)
def test_malformed_files_name_file_line_and_expectation(
    tmp_path: Path, ratings: bytes, movies: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, ratings, movies))


CSV_MOVIES = (
    "movieId,title,genres\r\n"
    "1,Toy Story (1995),Animation|Children\r\n"
    '2,"Godfather, The (1972)",Drama\r\n'
    "73,Misérables,(no genres listed)\r\n"
)
CSV_RATINGS = "userId,movieId,rating,timestamp\r\n7,2,4.5,300\r\n7,1,1.0,100\r\n3,73,.5,5\r\n"


def write_csv(folder: Path, ratings: str = CSV_RATINGS, movies: str = CSV_MOVIES) -> Path:
    (folder / "ratings.csv").write_bytes(ratings.encode("utf-8-sig"))
    (folder / "movies.csv").write_bytes(movies.encode())
    return folder


def load_folder(folder: Path) -> Dataset:
    return load_movielens_folder(folder, "latest", "a test", "none")


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTI_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_own_cache")
def test_the_csv_of_later_editions_and_the_utf_8_of_10m_load(tmp_path: Path) -> None:
    dataset = load_folder(write_csv(tmp_path))
    assert dataset.item_ids == ("1", "2", "73")
    assert dataset.texts == (
        {"title": "Toy Story", "year": "1995", "categories": "Animation, Children"},
        {"title": "The Godfather", "year": "1972", "categories": "Drama"},
        {"title": "Misérables"},
    )
    assert [history.tolist() for history in dataset.histories] == [[0, 1], [2]]
    assert load_folder(tmp_path).sha256 == dataset.sha256  # from the cache
    ten = tmp_path / "ten"
    ten.mkdir()
    ratings = CSV_RATINGS.partition("\r\n")[2].replace(",", "::").encode()
    movies = MOVIES.decode("latin-1").encode()
    assert load_folder(write(ten, ratings, movies)).texts[2]["title"] == "Les Misérables"


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize(
    ("ratings", "movies", "message"),
    [
        ("userId,movieId\n1,2\n", CSV_MOVIES, "line 1: expected userId,movieId,rating,timestamp"),
        (CSV_RATINGS + "7,2\r\n", CSV_MOVIES, "line 5: expected userId"),
        (CSV_RATINGS + '7,2,1,"5', CSV_MOVIES, "may be truncated"),
        (CSV_RATINGS.replace("300", "noon"), CSV_MOVIES, "line 2: expected a Timestamp"),
        (CSV_RATINGS, CSV_MOVIES + "2,Again,Drama\r\n", "line 5: MovieID '2' stands twice"),
        (CSV_RATINGS, "movieId,title,genres\n900,A,B\n", "name items differently"),
    ],
)
def test_malformed_csv_names_file_and_line(
    tmp_path: Path, ratings: str, movies: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_folder(write_csv(tmp_path, ratings, movies))
