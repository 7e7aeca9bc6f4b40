"""What cards say of settings, datasets and methods."""

from pathlib import Path

import pytest

from leaderboard.records.cells import Cell, load_cells
from leaderboard.records.record import read_record
from leaderboard.site.cards import (
    dataset_facts,
    method_facts,
    presence,
    setting_sections,
    source_parts,
    text_of,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "GTI, arXiv 2604.02324 §3",
            [
                ("GTI, ", None),
                ("arXiv 2604.02324", "https://arxiv.org/abs/2604.02324"),
                (" §3", None),
            ],
        ),
        (
            "see https://a.example/b.",
            [("see ", None), *[("https://a.example/b",) * 2], (".", None)],
        ),
        ("ours", [("ours", None)]),
        ("javascript:alert(1)", [("javascript:alert(1)", None)]),
    ],
)
def test_sources_lead_to_papers_and_pages_and_nowhere_else(
    text: str, expected: list[tuple[str, str | None]]
) -> None:
    assert source_parts(text) == expected
    assert "".join(part for part, _ in source_parts(text)) == text


def test_values_are_written_in_words() -> None:
    found = [text_of(value) for value in (True, 0.0001, [1, 2], [], {"a": 1.5}, "x")]
    assert found == ["yes", "0.0001", "1, 2", "none", "a 1.5", "x"]


def test_a_settings_card_holds_all_it_fixes(whole_board: Path) -> None:
    cells, _ = load_cells([whole_board])
    sections = {section.name: dict(section.facts) for section in setting_sections(cells)}
    setting = cells[0].record.setting
    assert sections["setting"]["hash"] == setting.hash
    content = setting.model_dump(mode="json", exclude_none=True)
    for name, value in content.items():
        if isinstance(value, dict):
            assert set(sections[name]) == set(value), name
        else:
            assert name in sections["setting"]
    assert sections["scored"] == {"test users": "60", "validation users": "60"}
    assert sections["ran on"] == {"toy, toy, cpu": "14 records"}
    assert sections["Semantic IDs in use"]["items"] == "97"


def test_a_methods_card_says_what_it_spends_and_which_rows_it_trained(whole_board: Path) -> None:
    path = whole_board / "toy" / "gti" / "seed-0.json"
    record = read_record(path)
    facts = dict(method_facts(record))
    assert facts["shares of the extra budget (nominal FLOPs)"] == "1 before SFT"
    assert facts["own parameters"].startswith("none")
    assert facts["trained text rows"] == "grounding: 0 changed; sft: 100 changed"
    here = presence(Cell(path, record))
    assert len(here.words) == 8
    assert here.words[0] == ("<a_0>", "comedy, drama, western, musical, war")
    path = whole_board / "toy" / "markov" / "seed-0.json"
    reference = read_record(path)
    assert presence(Cell(path, reference)).words == ()
    assert dict(method_facts(reference))["shares of the extra budget (nominal FLOPs)"] == "none"


def test_a_datasets_card_gives_the_hash_of_what_was_read(whole_board: Path) -> None:
    record = read_record(whole_board / "toy" / "gti" / "seed-0.json")
    facts = dict(dataset_facts(record))
    assert facts["content hash of what was read"] == record.inputs.dataset
    assert facts["items"] == "97"
