"""The table model: columns are found by key, wherever they stand."""

import pytest

from leaderboard.render.entries import figure, word
from leaderboard.render.table import Column, Entry, Table, column


@pytest.fixture
def table() -> Table:
    """Three fruits with their weights."""
    weights = {"apple": 0.25, "fig": 0.0625, "plum": None}
    return Table.of(
        weights,
        [
            column("name", "fruit", word, "words"),
            column("weight", "kg", lambda name: figure(weights[name])),
        ],
    )


def keys(table: Table) -> list[str]:
    return [each.key for each in table.columns]


def test_an_entry_has_the_text_that_is_read_and_the_value_it_is_sorted_by(table: Table) -> None:
    assert table["weight"].name == "kg"
    found = [(entry.text, entry.value) for entry in table.entries("weight")]
    assert found == [(".2500", 0.25), (".0625", 0.0625), ("–", None)]
    assert [entry.value for entry in table.entries("name")] == ["apple", "fig", "plum"]


def test_a_new_column_stands_last_or_before_another_and_one_of_its_key_is_replaced(
    table: Table,
) -> None:
    color, colors = Column("color", "colour"), [word(each) for each in ("red", "blue", "blue")]
    assert keys(table.with_column(color, colors)) == ["name", "weight", "color"]
    between = table.with_column(color, colors, before="weight")
    assert keys(between) == ["name", "color", "weight"]
    heavier = between.with_column(Column("weight", "g"), [Entry(each) for each in "123"])
    assert keys(heavier) == ["name", "color", "weight"]
    assert heavier["weight"].name == "g"
    assert [entry.text for entry in heavier.entries("weight")] == ["1", "2", "3"]
    assert heavier.entries("color") == colors
    assert keys(heavier.ordered(["weight"], ["name"])) == ["weight", "color", "name"]
    assert keys(heavier.without("color").without("taste")) == ["name", "weight"]


def test_a_table_whose_columns_cannot_be_told_apart_or_lack_entries_is_refused(
    table: Table,
) -> None:
    with pytest.raises(ValueError, match=r"two columns have one key among name, name"):
        Table("fruits", "", (table["name"], table["name"]), table.lines)
    with pytest.raises(ValueError, match=r"'fruits'.* no entry for color; it has name, weight"):
        Table("fruits", "", (*table.columns, Column("color", "colour")), table.lines)
    with pytest.raises(ValueError, match=r"zip\(\) argument"):
        table.with_column(Column("color", "colour"), [word("red")])
    with pytest.raises(ValueError, match=r"zip\(\) argument"):
        Table.of_texts(table.columns, [["apple", "1", "red"]])
