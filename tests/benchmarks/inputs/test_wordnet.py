"""Nouns' synonyms from WordNet's files, and what is said where there is none."""

from pathlib import Path

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.datasets.card import DATA_VARIABLE, MissingDataError
from benchmarks.inputs import wordnet
from benchmarks.inputs.wordnet import noun_synonyms, wordnet_folder
from benchmarks.machine.places import SETTINGS

DATA = """  1 the licence
00000010 06 n 03 motion_picture 0 film 0 picture 0 001 @ 00000020 n 0000 | shown on a screen
00000020 06 n 02 film 1 sheet 0 000 | a thin layer
00000030 27 n 02 inch 0 in 0 000 | a length
00000040 15 n 02 Rome 0 capital 0 000 | a city
00000050 04 n 01 boat 0 000 | it floats
"""
INDEX = """  1 the licence
boat n 1 0 1 1 00000050
capital n 1 0 1 1 00000040
film n 2 1 @ 2 2 00000010 00000020
in n 1 0 1 0 00000030
inch n 1 0 1 1 00000030
motion_picture n 1 1 @ 1 1 00000010
picture n 1 1 @ 1 1 00000010
sheet n 1 0 1 0 00000020
"""


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "data.noun").write_text(DATA, encoding="latin-1")
    (folder / "index.noun").write_text(INDEX, encoding="latin-1")
    return folder


def test_synonyms_are_single_words_of_the_most_frequent_sense(tmp_path: Path) -> None:
    # Not: the name Rome, the abbreviation, senses that no tagged text has, words of two.
    assert noun_synonyms(write(tmp_path / "w")) == {"film": ("picture",), "picture": ("film",)}


def test_another_wordnet_and_none_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wordnet, "SYSTEM", tmp_path / "nowhere")
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(MissingDataError, match=r"none is in .*nowhere; install Debian's wordnet"):
        wordnet_folder()
    write(tmp_path / "wordnet")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(MissingDataError, match=r"data\.noun has sha256 \w{64}, WordNet 3\.0's"):
        wordnet_folder()


def test_a_setting_that_asks_by_paraphrase_is_refused_without_wordnet_and_no_other_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wordnet, "SYSTEM", tmp_path / "nowhere")
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    text = (SETTINGS / "ml-100k-language-nano.toml").read_text(encoding="utf-8")
    file = tmp_path / "mine.toml"
    file.write_text(
        text.replace('ways = ["title", "detail"]', 'ways = ["title", "paraphrase"]').replace(
            'name = "ml-100k-language-nano"', 'name = "mine"'
        ),
        encoding="utf-8",
    )
    assert exit_code(["prepare", str(file)]) != 0
    (line,) = [one for one in capfd.readouterr().err.splitlines() if "WordNet" in one]
    assert "install Debian's wordnet-base" in line
    assert "leave 'paraphrase' out" in line


def test_wordnet_3_gives_the_synonyms_of_its_first_senses() -> None:
    try:
        folder = wordnet_folder()
    except MissingDataError as missing:
        pytest.skip(str(missing))
    found = noun_synonyms(folder)
    assert len(found) == 4959
    assert found["movie"] == ("film", "picture", "pic", "flick")
    assert found["car"] == ("auto", "automobile", "machine", "motorcar")
    assert not found.keys() & {"in", "it", "he", "at", "or", "star", "man"}
