"""One table: columns with keys, and lines that hold an entry for each; `writers` write it as text.

A table is made once. The page adds to the entries of a column, which it names by its key.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from markupsafe import Markup

Kind = Literal["figures", "words", "letters", "prose", "state"]
"""Figures and letters (short marks) stand to the right in text, the rest to the left; all but
figures are sorted as words. Prose may take several lines, a state is marked as such, on the page.
"""

REFERENCE = "reference"
"""The group of lines that a rule sets apart."""

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A column: code finds it by its `key`, people by its `name`.

    The page says what it means, and shows the `scale` of the intervals that are drawn in it.
    """

    key: str
    name: str
    kind: Kind = "figures"
    meaning: str = ""
    scale: Markup | None = None


@dataclass(frozen=True)
class Entry:
    """What stands in one column of a line: a text, and the value it is sorted by (None: last).

    On the page a text may have a `link`, or in its place several `links` (name and address), a
    remark `below` it, and a `drawing` beside it.
    """

    text: str
    value: str | float | None = None
    link: str | None = None
    links: tuple[tuple[str, str], ...] = ()
    below: str = ""
    drawing: Markup | None = None


@dataclass(frozen=True)
class Line:
    """A line: the entries by their columns' keys, and the method or thing they are about.

    `group` is the method's; the page's filter chooses by it and by `search`, links lead to `id`.
    """

    key: str = ""
    group: str = ""
    search: str = ""
    id: str = ""
    entries: Mapping[str, Entry] = field(default_factory=dict)


Filled = tuple[Column, Callable[[T], Entry]]
"""A column, and what it says of each thing that a line is about."""


@dataclass(frozen=True)
class Table:
    """A table; its first column holds the headers of its lines.

    Attributes:
        id, caption: for a page; empty where only a terminal shows it.
        columns: in order.
        lines: each with an entry for every column.
        sorted_by: key of the column it is sorted by, downwards; empty: by none.
        stacked: whether the page sets drawings below the texts, not beside them.

    Raises:
        ValueError: two columns have one key, or a line lacks an entry.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    sorted_by: str = ""
    stacked: bool = False

    def __post_init__(self) -> None:
        """Checks that every column can be found, in every line."""
        keys = [column.key for column in self.columns]
        if len(set(keys)) < len(keys):
            raise ValueError(f"table {self.id!r}: two columns have one key among {', '.join(keys)}")
        for line in self.lines:
            if lacks := [key for key in keys if key not in line.entries]:
                raise ValueError(
                    f"table {self.id!r}, line {line.key!r}: no entry for {', '.join(lacks)}; it has"
                    f" {', '.join(line.entries)}"
                )

    @classmethod
    def of(
        cls,
        things: Iterable[T],
        columns: Sequence[Filled[T]],
        line: Callable[[T], Line] = lambda _: Line(),
        name: str = "",
        caption: str = "",
    ) -> "Table":
        """A table with a line for each of `things`.

        Args:
            things: what the lines are about.
            columns: each with what it says of a thing.
            line: a thing's line, without entries.
            name: the table's id.
            caption: the table's.
        """
        lines = tuple(
            replace(line(each), entries={column.key: entry(each) for column, entry in columns})
            for each in things
        )
        return cls(name, caption, tuple(column for column, _ in columns), lines)

    @classmethod
    def of_texts(cls, columns: Sequence[Column], lines: Iterable[Sequence[str]]) -> "Table":
        """A table of texts alone: in each of `lines` one for every column, in their order."""
        keys = [each.key for each in columns]
        entries = [dict(zip(keys, map(Entry, texts), strict=True)) for texts in lines]
        return cls("", "", tuple(columns), tuple(Line(entries=each) for each in entries))

    def __getitem__(self, key: str) -> Column:
        """The column `key`."""
        return {column.key: column for column in self.columns}[key]

    def entries(self, key: str) -> list[Entry]:
        """What the column `key` holds, line by line."""
        return [line.entries[key] for line in self.lines]

    def with_column(self, column: Column, entries: Iterable[Entry], before: str = "") -> "Table":
        """The table with `column` in place of the one of its key, else before `before` or last."""
        lines = tuple(
            replace(line, entries={**line.entries, column.key: entry})
            for line, entry in zip(self.lines, entries, strict=True)
        )
        columns, keys = list(self.columns), [each.key for each in self.columns]
        if column.key in keys:
            columns[keys.index(column.key)] = column
        else:
            columns.insert(keys.index(before) if before else len(keys), column)
        return replace(self, columns=tuple(columns), lines=lines)

    def without(self, key: str) -> "Table":
        """The table without the column `key`, where it has one."""
        return replace(self, columns=tuple(each for each in self.columns if each.key != key))

    def ordered(self, first: Sequence[str], last: Sequence[str] = ()) -> "Table":
        """The table with the columns of keys `first` and `last` at its ends, in that order."""
        rest = [each.key for each in self.columns if each.key not in (*first, *last)]
        return replace(self, columns=tuple(map(self.__getitem__, [*first, *rest, *last])))


def column(
    key: str, name: str, entry: Callable[[T], Entry], kind: Kind = "figures", meaning: str = ""
) -> Filled[T]:
    """A column, and what it says of each thing that a line is about."""
    return Column(key, name, kind, meaning), entry
