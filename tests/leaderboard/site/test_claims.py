"""Claims on the page: the verdicts of `gti-bench claims`, their reasons, and where they lead."""

import json
from pathlib import Path
from typing import Any

import pytest

from leaderboard.claims.against_ours import against_ours
from leaderboard.claims.claims import load_claims
from leaderboard.claims.statements import load_judged
from leaderboard.render.claims import claims_json
from leaderboard.site.build import build_site


@pytest.fixture(scope="module")
def built(hostile_results: Path, toy_claims: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with claims on the setting `toy`, and the project's own."""
    out = tmp_path_factory.mktemp("claims") / "site"
    build_site([hostile_results], out, tables=[toy_claims, *load_claims()])
    return out


def lines_of(table: Any) -> list[list[str]]:
    return [
        [cell.text for cell in line.find("th", "td")] for line in table.find("tbody")[0].find("tr")
    ]


def test_every_claim_stands_on_the_page_with_its_verdict(
    built: Path, read_page: Any, toy_claims: Any, hostile_results: Path
) -> None:
    page = read_page(built / "claims.html")
    (compared,), _ = against_ours([hostile_results], [toy_claims])
    (table,) = page.find("table", id="beside-toy-claims-toy")
    shown = lines_of(table)
    with_ours = [each for each in compared.claims if each.ours is not None]
    assert len(shown) == len(with_ours) == 8
    for line, each in zip(shown, with_ours, strict=True):
        claim = each.claim
        name = claim.name if claim.base is None else f"{claim.name} − {claim.base}"
        assert line[:2] == [name, claim.metric]
        assert float(line[2]) == claim.value
        assert each.ours is not None
        assert float(line[3]) == pytest.approx(each.ours.mean, abs=5e-5)
        words = {True: "yes", False: "no", None: "–"}
        assert line[5:] == [words[each.same_direction], words[each.within], each.verdict]


def test_ours_leads_to_its_records_and_the_board_to_its_claims(built: Path, read_page: Any) -> None:
    page = read_page(built / "claims.html")
    board = read_page(built / "settings" / "toy.html")
    (table,) = page.find("table", id="beside-toy-claims-toy")
    links = {link.attributes["href"] for link in table.find("a")}
    assert links == {f"settings/toy.html#records-{key}" for key in ("mean", "gti", "popularity")}
    assert all(board.find("tr", id=link.partition("#")[2]) for link in links)
    back = [a for a in board.find("a") if a.attributes["href"] == "../claims.html#toy-claims"]
    assert len(back) == 1
    assert page.find("section", id="toy-claims")
    other = read_page(built / "settings" / "other.html")
    assert "comparable with this setting" in other.text


def test_what_cannot_be_compared_says_why_and_keeps_its_numbers(
    built: Path, read_page: Any
) -> None:
    page = read_page(built / "claims.html")
    text = page.text
    assert "Nothing of ours beside these: no such method here." in text
    for table in load_claims():
        (section,) = page.find("section", id=table.key)
        file = table.file
        for said in (*file.caveats, file.split, file.dataset):
            assert " ".join(said.split()) in section.text
        if file.why_not is not None:
            assert f"Nothing of ours beside these: {file.why_not}." in section.text
        figures = [cell for own in section.find("table") for line in lines_of(own) for cell in line]
        for row in file.rows:
            assert row.name in figures or any(row.name in cell for cell in figures)
        for claim in table.claims():
            if file.unit == "score" and claim.base is None:
                assert f"{claim.value:.4f}".removeprefix("0") in figures


def test_text_of_claims_is_never_markup(built: Path, read_page: Any, hostile_text: str) -> None:
    page = read_page(built / "claims.html")
    assert len(page.find("script")) == 1
    (section,) = page.find("section", id="toy-claims")
    assert section.find("h2")[0].text == hostile_text
    assert section.find("ul") == []
    assert hostile_text in section.find("dl")[0].text


def test_the_data_file_is_what_the_command_gives(
    built: Path, toy_claims: Any, hostile_results: Path
) -> None:
    compared, left_out = against_ours([hostile_results], [toy_claims, *load_claims()])
    found = json.loads((built / "data" / "claims.json").read_text(encoding="utf-8"))
    judged = load_judged([hostile_results])
    assert [each.word for each in judged].count("not run") < len(judged)
    assert found == json.loads(claims_json(compared, left_out, judged))
