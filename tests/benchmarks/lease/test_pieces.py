"""Pieces: what comes out is what went in, and what is wrong is said in one line."""

import re

import numpy as np
import pytest

from benchmarks.lease.pieces import (
    LeaseError,
    add_archive,
    begin_pieces,
    check_pieces,
    join_pieces,
    read_manifest,
)

MOST = 1000


@pytest.fixture
def source(tmp_path):
    """A folder with text, with noise that does not compress, and an empty file."""
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    (folder / "words.txt").write_text("words " * 500)
    (folder / "deep" / "noise").write_bytes(np.random.default_rng(0).bytes(3500))
    (folder / "empty").touch()
    return folder


@pytest.fixture
def pieces(tmp_path, source):
    folder = tmp_path / "pieces"
    begin_pieces(folder, {"why": "a test"})
    add_archive(folder, "tight", {"all": source}, MOST, squeeze=True)
    add_archive(folder, "loose", {"noise": source / "deep" / "noise"}, MOST, squeeze=False)
    return folder


def content(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_is_joined_is_what_was_packed(pieces, source, tmp_path):
    assert join_pieces(pieces, tmp_path / "joined") == {"why": "a test"}
    assert content(tmp_path / "joined" / "tight" / "all") == content(source)
    noise = (source / "deep" / "noise").read_bytes()
    assert content(tmp_path / "joined" / "loose") == {"noise": noise}


def test_no_piece_is_larger_than_asked_for_and_all_but_the_last_are_full(pieces):
    for name in ("tight", "loose"):
        *full, last = [path.stat().st_size for path in sorted(pieces.glob(f"{name}.*"))]
        assert len(full) >= 3
        assert set(full) == {MOST}
        assert 0 < last <= MOST


def test_every_missing_and_damaged_piece_is_named_in_one_line(pieces, tmp_path):
    (pieces / "tight.001").unlink()
    noise = (pieces / "loose.002").read_bytes()
    (pieces / "loose.002").write_bytes(noise[:-1] + bytes([noise[-1] ^ 1]))
    (pieces / "loose.000").write_bytes(noise[:-1])
    with pytest.raises(LeaseError) as caught:
        join_pieces(pieces, tmp_path / "joined")
    (line,) = str(caught.value).splitlines()
    said = ["tight.001 is missing", "loose.000 is damaged", "loose.002 is damaged"]
    assert re.findall(r"\w+\.\d+ is \w+", line) == said
    assert line.endswith("copy what is named again")
    assert not (tmp_path / "joined").exists()


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_manifest_that_cannot_be_read_is_named(pieces, damage):
    manifest = pieces / "manifest.json"
    if damage == "cut":
        manifest.write_text(manifest.read_text()[:-20])
    else:
        manifest.unlink()
    with pytest.raises(LeaseError, match=r"manifest\.json is missing or damaged; copy it again"):
        check_pieces(pieces)


def test_an_archive_that_was_joined_from_the_same_pieces_is_left_alone(pieces, source, tmp_path):
    joined = tmp_path / "joined"
    join_pieces(pieces, joined)
    (joined / "tight" / "added").touch()
    (joined / "loose" / "added").touch()
    add_archive(pieces, "loose", {"words": source / "words.txt"}, MOST, squeeze=False)
    join_pieces(pieces, joined)
    assert (joined / "tight" / "added").exists()
    assert list(content(joined / "loose")) == ["words"]


def test_pieces_of_another_time_go_and_other_files_stay(pieces, source):
    begin_pieces(pieces, {})
    assert [path.name for path in pieces.iterdir()] == ["manifest.json"]
    assert read_manifest(pieces)["archives"] == {}
    with pytest.raises(LeaseError, match="holds other files"):
        begin_pieces(source, {})
    assert len(content(source)) == 3


def test_more_pieces_than_three_digits_number_are_refused(source, tmp_path):
    begin_pieces(tmp_path / "pieces", {})
    with pytest.raises(LeaseError, match="more than 1,000 pieces of 3 bytes"):
        add_archive(tmp_path / "pieces", "loose", {"all": source}, 3, squeeze=False)
