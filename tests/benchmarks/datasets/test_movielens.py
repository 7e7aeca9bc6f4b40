"""Tests of MovieLens loaders on small files of their shape, and on 1M where it is at hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.datasets.load import load_dataset
from benchmarks.datasets.movielens import load_movielens_folder
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


def load(folder: Path) -> Dataset:
    return load_movielens_folder(folder, "ml-1m", "a test", "none")


@pytest.mark.usefixtures("own_cache")
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


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("ratings", "movies", "message"),
    [
        (b"1::2::3\n", MOVIES, r"ratings\.dat, line 1: expected UserID::MovieID::Rating::Time"),
        (RATINGS + b"1::2::5::noon\n", MOVIES, r"ratings\.dat, line 6: .*'noon'"),
        (b"\n", MOVIES, r"ratings\.dat: expected ratings, found none"),
        (RATINGS, b"1::A (1990)::X\n1::B (1990)::X\n", "line 2: MovieID '1' stands twice"),
        (RATINGS, b"1::A\n", "line 1: expected MovieID::Title::Genres"),
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


@pytest.mark.usefixtures("own_cache")
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


@pytest.mark.usefixtures("own_cache")
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


def test_one_million_from_its_carrier_is_what_grouplens_says_it_is(
    asset_in_cache: Callable[[str], Path],
) -> None:
    asset_in_cache("ml-1m")
    dataset = load_dataset("ml-1m", offline=True)
    assert (len(dataset.user_ids), dataset.num_items) == (6_040, 3_883)
    assert sum(map(len, dataset.histories)) == 1_000_209
    assert min(map(len, dataset.histories)) == 20  # GroupLens's README
    assert all(text["title"] and text["year"] and text["categories"] for text in dataset.texts)
    assert dataset.texts[dataset.item_ids.index("Godfather, The (1972)")] == {
        "title": "The Godfather", "year": "1972", "categories": "Action, Crime, Drama",
    }  # fmt: skip
