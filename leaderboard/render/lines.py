"""The line of a method in a table, and its name there."""

from leaderboard.board.method_rows import MethodRow
from leaderboard.render.sentences import marks
from leaderboard.render.table import Entry, Line


def method_line(row: MethodRow) -> Line:
    """The line of `row`, found by its name, group and summary."""
    return Line(row.key, row.group, f"{row.key} {row.group} {row.summary}")


def name_of(row: MethodRow) -> Entry:
    """The row's name with its marks; references in parentheses."""
    text = f"({row.key})" if row.kind == "reference" else row.key + marks(row)
    return Entry(text, row.key)
