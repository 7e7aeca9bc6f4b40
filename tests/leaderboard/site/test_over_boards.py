"""The front page's tables over all boards lead to methods and boards."""

from typing import Any

from leaderboard.board.over_boards import OnBoard, Verdicts
from leaderboard.site.over_boards import over_boards


def found(method: str, setting: str, evidence: bool) -> OnBoard:
    won, none = Verdicts(won=1, open=2), Verdicts()
    return OnBoard(
        method, setting, f"hash of {setting}", "ndcg@10", evidence, won, none, None, 1, 1, 2, 2, 0.5
    )


def test_tables_lead_to_the_pages_of_methods_and_boards() -> None:
    slugs = {"hash of one": "one", "hash of two": "two-1234"}
    made = over_boards([found("gti", "one", True), found("gti", "two", False)], slugs)
    assert made is not None
    assert [table.caption[:12] for table in made.totals] == ["Over 1 board", "Over 2 board"]
    for table in [*made.totals, made.by_board]:
        assert {entry.link for entry in table.entries("method")} == {"methods/gti.html"}
    links = [entry.link for entry in made.by_board.entries("board")]
    assert links == ["settings/one.html", "settings/two-1234.html"]
    (both,) = made.totals[1].entries("declared")
    assert (both.text, both.value) == ("2 won, 4 open", 2)
    assert over_boards([], {}) is None


def test_the_front_page_has_the_tables(pages: dict[str, Any]) -> None:
    (section,) = pages["index.html"].find("section", aria_labelledby="over-boards-title")
    assert len(section.find("table")) == 3
    assert section.find("a", href="methods/gti.html")
    (section,) = pages["index.html"].find("section", aria_labelledby="gti-title")
    assert section.find("a", href="methods/mean.html")
