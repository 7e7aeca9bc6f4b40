"""The contrasts on a board's page: the figures of `gti-bench contrasts`, drawn and sortable."""

from pathlib import Path
from typing import Any

from leaderboard.board.contrasts import load_contrasts
from leaderboard.render.contrasts import contrast_table


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


def test_a_board_without_a_pair_has_no_such_section(pages: Any) -> None:
    without = [page for page in pages.values() if not page.find("table", id="contrasts")]
    assert without
    assert all(not page.find("h2", id="contrasts-title") for page in without)
