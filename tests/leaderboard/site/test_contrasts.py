"""The contrasts on a board's page: the figures of `gti-bench contrasts`, drawn and sortable."""

from pathlib import Path
from typing import Any

from leaderboard.board.contrasts import load_contrasts
from leaderboard.render.contrasts import contrast_table
from leaderboard.site.build import build_site


def test_the_page_shows_what_the_verb_says_pair_by_pair(pages: Any, hostile_results: Path) -> None:
    found, _ = load_contrasts([[hostile_results]], "toy")
    verbs = contrast_table(found)
    (table,) = pages["settings/toy.html"].find("table", id="contrasts")
    names = [head.find("button")[0].text for head in table.find("thead")[0].find("th")]
    shown_first = ["difference", found.metric, "p", "verdict", "95 % interval"]
    assert names[:5] == shown_first
    assert names[-2:] == ["question", "what it isolates"]
    keys = {column.name or found.metric: column.key for column in verbs.columns}
    assert sorted(names) == sorted(keys)
    lines = table.find("tbody")[0].find("tr")
    assert len(lines) == len(verbs.lines) > 0
    for line, own in zip(lines, verbs.lines, strict=True):
        cells = [*line.find("th"), *line.find("td")]
        shown = dict(zip(names, (cell.text for cell in cells), strict=True))
        assert shown == {name: own.entries[key].text for name, key in keys.items()}
        assert len(line.find("svg")) == 1


def test_what_a_setting_declares_comes_first_and_each_claim_is_text(
    factory: Any, toy_setting: Any, read_page: Any, tmp_path: Path, hostile_text: str
) -> None:
    pairs = [{"a": "random", "b": "mean", "claim": hostile_text}]
    pairs.append({"a": "gaussian", "b": "mean", "claim": "more seeds"})
    primary = {"outcome": "ndcg@10", "margin": 0.05, "rule": "fixed order", "contrasts": pairs}
    factory.setting = toy_setting(primary=primary)
    factory.board({"mean": 0.2, "random": 0.8, "lc_rec": 0.2}, users=300)
    site = build_site([factory.root], tmp_path / "site")
    page = read_page(site.directory / "settings" / "toy.html")
    (table,) = page.find("table", id="primary")
    names = [head.find("button")[0].text for head in table.find("thead")[0].find("th")]
    assert names[:4] == ["primary contrast", "ndcg@10", "p", "verdict"]
    first, second = (
        dict(zip(names, [cell.text for cell in line.find("th", "td")], strict=True))
        for line in table.find("tbody")[0].find("tr")
    )
    assert (first["verdict"], first["claim"]) == ("better", " ".join(hostile_text.split()))
    assert second["verdict"] == "no verdict: no records of gaussian"
    assert second["ndcg@10"] == "–"
    declared = next(each for each in page.find("dd") if each.text.startswith("By ndcg@10,"))
    assert declared.text == (
        f"By ndcg@10, random − mean: better, {first['ndcg@10']} {first['95 % interval']},"
        f" p = {first['p']}; gaussian − mean: no verdict: no records of gaussian."
    )


def test_a_board_without_a_pair_has_no_such_section(pages: Any) -> None:
    without = [page for page in pages.values() if not page.find("table", id="contrasts")]
    assert without
    assert all(not page.find("h2", id="contrasts-title") for page in without)
