"""The list of datasets: those here with their statistics, the others with how to get them."""

import json
from pathlib import Path
from typing import Literal

import pytest

from benchmarks.cli.listing import dataset_lines, list_datasets, listed
from benchmarks.datasets import CARDS, DATA_VARIABLE
from benchmarks.inputs.catalogue import find_setting

HEADER = "customer.id;outfit.id;rentalPeriod.start;rentalPeriod.end\n"


@pytest.fixture
def data(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with `toys`, with Vibrent, and with a damaged `arts`."""
    folder = tmp_path / "data"
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    for name in ("toys", "vibrent", "arts"):
        (folder / name).mkdir(parents=True)
    histories = {"0": [0, 1, 2], "1": [1, 2, 0], "2": [0]}
    (folder / "toys" / "Toys.inter.json").write_text(json.dumps(histories))
    items = {"0": {"title": "Kite"}, "1": {"title": "Ball"}, "2": {}, "3": {"title": "Top"}}
    (folder / "toys" / "Toys.item.json").write_text(json.dumps(items))
    (folder / "arts" / "Arts.inter.json").write_text("{")
    (folder / "arts" / "Arts.item.json").write_text("{}")
    rentals = "".join(
        f"{user};o{item};2021-01-0{item + 1};2021-02-01\n" for user in range(6) for item in range(5)
    )
    (folder / "vibrent" / "user_activity_triplets.csv").write_text(HEADER + rentals)
    outfits = "".join(f"o{item};Dress {item};;g{item // 2};['Red']\n" for item in range(6))
    (folder / "vibrent" / "outfits.csv").write_text(
        "id;name;description;group;outfit_tags\n" + outfits
    )
    return folder


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_card_is_shown_within_the_terminal(data: Path, width: int) -> None:
    rows = list_datasets(offline=True)
    text = dataset_lines(rows, width)
    lines = text.splitlines()
    # A path cannot be broken; no other line is longer than the terminal is wide.
    assert all(len(line) <= width for line in lines if str(data) not in line)
    first, last = text.split("not here:")
    assert first.startswith("toys\n  3 users (2 with enough interactions), 4 items (1 never")
    assert "without any: 1" in first
    assert 'vibrent: unit = "group", orders = "activity", duplicates = "keep", k_core = 5' in first
    assert "1 items below the 5-core" in first
    for name in CARDS:
        category = name.removeprefix("amazon-2023-")
        assert category in (first if name in ("toys", "vibrent") else last)
    assert "expected JSON" in " ".join(last.split())


def test_json_has_the_whole_card(data: Path) -> None:
    rows = json.loads(listed("datasets", 80, as_json=True, offline=True))
    by_name = {row["name"]: row for row in rows}
    assert set(by_name) == set(CARDS)
    assert [row["options"]["unit"] for row in rows if row["name"] == "vibrent"] == [
        "outfit",
        "group",
    ]
    assert by_name["vibrent"]["here"]
    assert by_name["vibrent"]["items"] == 3
    assert not by_name["beauty"]["here"]
    assert by_name["beauty"]["obtain"] == CARDS["beauty"].obtain
    for row in rows:
        card = CARDS[row["name"]]
        assert row["source"] == card.source
        assert row["licence"] == card.licence
        assert row["addresses"] == list(card.addresses)
        assert (row["expected"] is None) == (card.expected is None)
    assert by_name["beauty"]["expected"]["items"] == 12_101
    beauty = find_setting("beauty-smollm2").setting.dataset.sha256
    assert by_name["beauty"]["content_sha256"] == beauty
    assert by_name["instruments-mql4grec"]["content_sha256"] is None
    assert by_name["instruments-mql4grec"]["expected"] is None


def test_a_dataset_that_is_not_here_says_where_it_is_and_what_it_should_be(data: Path) -> None:
    text = dataset_lines(list_datasets(offline=True), 100)
    _, _, last = text.partition("not here:")
    lines = last.splitlines()
    named = next(i for i, line in enumerate(lines) if line.startswith("  scientific "))
    said = " ".join(" ".join(lines[named + 1 : named + 3]).split())
    pinned = find_setting("scientific-smollm2").setting.dataset.sha256[:12]
    assert said == (
        "https://github.com/Nishikata97/CollisionGenRec · 8,317 users, 4,344 items, 58,492"
        f" interactions · content {pinned}"
    )
    assert "about 24,773 users, 9,923 items" in last


@pytest.mark.parametrize("what", ["settings", "methods", "backbones"])
def test_json_names_every_field_as_a_program_would(what: Literal["settings"]) -> None:
    rows = json.loads(listed(what, 80, as_json=True))
    assert rows
    assert {name for row in rows for name in row if not name.isidentifier()} == set()
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert not any(value in ("", "–") for row in rows for value in row.values())


def test_json_says_what_a_method_spends_and_what_a_setting_is_made_of() -> None:
    methods = {row["method"]: row for row in json.loads(listed("methods", 80, as_json=True))}
    assert methods["mean"]["spends_a"] is None
    assert methods["gti"]["spends_a"] == {"before": 1.0}
    assert methods["gti_lc_rec"]["spends_a"] == {"before": 0.5, "beside": 0.5}
    settings = {row["setting"]: row for row in json.loads(listed("settings", 80, as_json=True))}
    found, setting = settings["ml-100k-nano"], find_setting("ml-100k-nano").setting
    assert found["seeds"] == [0, 1, 2]
    assert (found["levels"], found["codes"]) == (
        setting.semantic_ids.levels,
        setting.semantic_ids.codes,
    )
    assert settings["ml-100k-search-nano"]["prompts"] == "query"
