"""What tables are written as, read back by other means or beside what was written by hand."""

import csv
import io
import json

import pytest

from leaderboard.render.table import Column, Entry, Line, Table
from leaderboard.render.writers import csv_text, json_text, latex, latex_text, markdown, terminal

COLUMNS = (
    Column("method", "method", "words"),
    Column("score", "ndcg@10"),
    Column("ties", "ties", "letters"),
    Column("what", "what it is", "prose"),
)
TEXTS = {
    "gti": ("core", ".0402 ± .0012", "a", "50% text"),
    "(markov)": ("reference", ".0300", "–", "x_y"),
    "(popularity)": ("reference", ".0200", "–", ""),
    "mean": ("core", ".0100", "ab", "a & b"),
}


@pytest.fixture
def table() -> Table:
    """Two methods with two references between them."""
    keys = [column.key for column in COLUMNS]
    lines = tuple(
        Line(name, group, entries=dict(zip(keys, map(Entry, (name, *texts)), strict=True)))
        for name, (group, *texts) in TEXTS.items()
    )
    return Table("scores", "Scores", COLUMNS, lines)


def test_a_terminal_gets_words_to_the_left_figures_to_the_right_references_between_rules(
    table: Table,
) -> None:
    assert terminal(table, "> ").splitlines() == [
        "> method              ndcg@10    ties  what it is",
        "> ------------  -------------  ------  ------------",
        "> gti           .0402 ± .0012       a  50% text",
        "> ------------  -------------  ------  ------------",
        "> (markov)              .0300       –  x_y",
        "> (popularity)          .0200       –",
        "> ------------  -------------  ------  ------------",
        "> mean                  .0100      ab  a & b",
    ]


def test_a_table_without_lines_has_its_headings(table: Table) -> None:
    empty = Table("", "", table.columns, ())
    heads, rule = terminal(empty).splitlines()
    assert " ".join(heads.split()) == "method ndcg@10 ties what it is"
    assert len(rule.split()) == len(COLUMNS)
    assert len(markdown(empty).splitlines()) == 2


@pytest.mark.parametrize("flavour", ["github", "pipe"])
def test_markdown_holds_every_text_between_bars(table: Table, flavour: str) -> None:
    head, rule, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown(table, flavour).splitlines()  # type: ignore[arg-type]
    )
    assert head == [column.name for column in COLUMNS]
    assert lines == [[name, *texts] for name, (_, *texts) in TEXTS.items()]
    assert all(set(cell) <= set(":-") for cell in rule)
    if flavour == "pipe":
        ends = [(cell.startswith(":"), cell.endswith(":")) for cell in rule]
        assert ends == [(True, False), (False, True), (False, True), (True, False)]


def test_latex_is_a_table_of_booktabs_with_markup_written_out(table: Table) -> None:
    assert latex(table, "100 % of it.").splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\begin{tabular}{lrrl}",
        r"\toprule",
        r"method & ndcg@10 & ties & what it is \\",
        r"\midrule",
        r"gti & .0402 $\pm$ .0012 & a & 50\% text \\",
        r"\midrule",
        r"(markov) & .0300 & -- & x\_y \\",
        r"(popularity) & .0200 & -- &  \\",
        r"\midrule",
        r"mean & .0100 & ab & a \& b \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\caption{100 \% of it.}",
        r"\end{table}",
    ]


def test_latex_text_writes_markup_out() -> None:
    assert latex_text("a_b & 5% {x}") == r"a\_b \& 5\% \{x\}"


def test_csv_has_every_column_and_leaves_empty_what_is_undefined() -> None:
    lines = [{"a": 0.1 + 0.2, "b": 'x, "y"'}, {"a": None, "c": 3}]
    read = list(csv.reader(io.StringIO(csv_text(lines))))
    assert read == [["a", "b", "c"], ["0.30000000000000004", 'x, "y"', ""], ["", "", "3"]]


def test_json_is_read_back_and_has_no_word_that_is_not_json() -> None:
    content = {"ρ": [0.1 + 0.2, None, "–"], "b": True}
    assert json.loads(json_text(content)) == content
    assert "ρ" in json_text(content)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"ρ": float("nan")})
