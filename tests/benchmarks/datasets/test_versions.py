"""Tests of what is said of data of another version."""

import numpy as np

from benchmarks.datasets.versions import differs_from_card, sizes_against_card
from gti.data.dataset import Dataset, Provenance


def tiny(name: str, counts: dict[str, int]) -> Dataset:
    return Dataset(
        name=name,
        item_ids=("a", "b"),
        texts=({"title": "A"}, {}),
        user_ids=("u",),
        histories=(np.array([0, 1, 1]),),
        tied_last=None,
        provenance=Provenance("a test", "none", {}, counts=counts),
    )


def test_found_sizes_stand_beside_the_known_ones() -> None:
    said = sizes_against_card(tiny("beauty", {}))
    assert "1 users (expected 22,363), 2 items (expected 12,101)" in said
    assert "3 interactions (expected 198,502)" in said
    assert "items with texts: title 50.0%" in said


def test_sizes_are_those_of_the_files_before_any_filter() -> None:
    counts = {
        "users in the files": 2_210,
        "items in the files": 15_649,
        "interactions in the files": 64_001,
    }
    said = sizes_against_card(tiny("vibrent", counts))
    assert "2,210 users (expected about 2,200), 15,649 items (expected about 15,800)" in said
    assert "64,001 interactions (expected about 64,000)" in said


def test_without_known_sizes_only_the_found_ones_are_said() -> None:
    assert "expected" not in sizes_against_card(tiny("arts-mql4grec", {}))
    assert "3 interactions" in sizes_against_card(tiny("no-card", {}))


def test_rounded_sizes_differ_only_beyond_their_rounding() -> None:
    counts = {
        "users in the files": 2_249,
        "items in the files": 15_750,
        "interactions in the files": 64_499,
    }
    assert not differs_from_card(tiny("vibrent", counts))
    assert differs_from_card(tiny("vibrent", counts | {"users in the files": 2_300}))
    assert differs_from_card(tiny("beauty", {}))  # known exactly, to the last interaction
    assert not differs_from_card(tiny("no-card", {}))
