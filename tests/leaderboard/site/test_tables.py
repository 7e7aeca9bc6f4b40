"""Tables on a page: what is added to columns finds them by key; the macro writes it all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.board.board import Leaderboard, load_leaderboards
from leaderboard.figures.intervals import Interval, draw_interval, interval_axis
from leaderboard.render.entries import word
from leaderboard.render.numbers import interval as interval_text
from leaderboard.render.table import Column, Entry, Line, Table
from leaderboard.site import tables
from leaderboard.site.pages import environment
from leaderboard.site.tables import scores, tick


@pytest.fixture
def board(whole_board: Path) -> Leaderboard:
    return load_leaderboards([whole_board]).boards[0]


@pytest.fixture
def shown(tmp_path: Path, read_page: Any) -> Callable[[Table], Any]:
    """Writes a table as a page does and reads it."""

    def show(table: Table) -> Any:
        path = tmp_path / "table.html"
        path.write_text(str(environment().get_template("parts.html").module.table(table)))  # type: ignore[attr-defined]
        return read_page(path).find("table")[0]

    return show


def test_intervals_links_and_standing_keep_their_columns_when_another_comes_between(
    board: Leaderboard, shown: Callable[[Table], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tables.score_table

    def wider(board: Leaderboard) -> Table:
        table = usual(board)
        for place, key in enumerate(("score", "interval", "difference_interval", "ties")):
            notes = [word(f"note {place}") for _ in table.lines]
            table = table.with_column(Column(f"note {place}", f"note {place}"), notes, before=key)
        return table

    before = shown(scores(board))
    monkeypatch.setattr(tables, "score_table", wider)
    after = shown(scores(board))
    names = [head.find("button")[0].text for head in after.find("thead")[0].find("th")]
    assert [name for name in names if name.startswith("note")] == [f"note {n}" for n in range(4)]
    kept = [place for place, name in enumerate(names) if not name.startswith("note")]
    for old, new in zip(before.find("tr"), after.find("tr"), strict=True):
        cells = new.find("th", "td")
        assert [cells[place] for place in kept] == old.find("th", "td")
        assert all(not cell.find("svg") for place, cell in enumerate(cells) if place not in kept)


def test_an_interval_is_drawn_beside_its_own_numbers(
    board: Leaderboard, shown: Callable[[Table], Any]
) -> None:
    lines = shown(scores(board)).find("tbody")[0].find("tr")
    found = [row.score for row in board.rows]
    own = [Interval(each.mean, each.low, each.high) for each in found if each]
    axis = interval_axis(own, tick, zero=False)
    for line, row, interval in zip(lines, board.rows, own, strict=True):
        drawn = [cell for cell in line.find("td") if cell.find("svg")]
        assert len(drawn) == 2
        assert drawn[0].text == interval_text(row.score)
        (dot,) = drawn[0].find("circle")
        kind = "reference" if row.kind == "reference" else "cell"
        assert f'cx="{dot.attributes["cx"]}"' in draw_interval(axis, interval, kind)
        difference = row.difference and row.difference.estimate
        assert drawn[1].text == interval_text(difference, with_sign=True)
        assert len(drawn[1].find("circle")) == (difference is not None)


def test_the_macro_writes_what_columns_entries_and_lines_say(
    shown: Callable[[Table], Any],
) -> None:
    columns = (
        Column("name", "name", "words", 'the "name"'),
        Column("figure", "figure"),
        Column("long", "long", "prose"),
        Column("standing", "standing", "state"),
    )
    entries = {
        "name": Entry("<b>", "b", "../methods/b.html"),
        "figure": Entry("", 2, links=(("0", "zero.json"), ("1", "one.json"))),
        "long": Entry("long & wide", below="p .01"),
        "standing": word("verified"),
        "unseen": word("of no column"),
    }
    line = Line("b", "reference", "find me", "records-b", entries)
    found = shown(Table("some", "A caption", columns, (line,), "figure", stacked=True))
    assert found.attributes["class"] == "sortable stacked"
    heads = found.find("thead")[0].find("th")
    assert [head.text for head in heads] == ["name", "figure", "long", "standing"]
    assert heads[0].find("button")[0].attributes["title"] == 'the "name"'
    assert [head.attributes.get("class") for head in heads] == [None, "num", None, None]
    assert [head.attributes.get("aria-sort") for head in heads] == [None, "descending", None, None]
    (row,) = found.find("tbody")[0].find("tr")
    wanted = {"data-method": "b", "data-search": "find me", "id": "records-b", "class": "reference"}
    assert wanted.items() <= row.attributes.items()
    (name,), (figure, long, standing) = row.find("th"), row.find("td")
    assert (name.text, name.attributes["data-sort"]) == ("<b>", "b")
    assert name.find("a")[0].attributes["href"] == "../methods/b.html"
    assert [a.attributes["href"] for a in figure.find("a")] == ["zero.json", "one.json"]
    assert (figure.attributes["class"], figure.attributes["data-sort"]) == ("num", "2")
    assert (long.attributes, long.text) == ({"class": "wide"}, "long & wide p .01")
    assert standing.find("span")[0].attributes["class"] == "state verified"
    assert "of no column" not in found.text
