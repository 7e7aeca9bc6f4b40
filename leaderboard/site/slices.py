"""The tables of slices: scores, and differences from `mean`, each with its interval drawn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from leaderboard.board.board import Leaderboard
from leaderboard.board.by_slice import SliceScores
from leaderboard.board.method_rows import BASE, MethodRow, mean_of
from leaderboard.records.cells import Cell
from leaderboard.render.numbers import interval, p_value, score, signed
from leaderboard.render.sentences import marks
from leaderboard.site.tables import (
    Column,
    Entry,
    Line,
    Table,
    cut_off_note,
    drawn_intervals,
    entries_of,
    line_of,
)

SHOWN = "*"
"""Behind a difference that is shown after Holm's correction."""


@dataclass(frozen=True)
class Slices:
    """What the page says of slices.

    Args:
        scores: of every row.
        differences: of the methods and references from `mean`; None where there is no `mean`.
        notes: the slices, and how to read them.
    """

    scores: Table
    differences: Table | None
    notes: tuple[str, ...]


def slices(
    board: Leaderboard, found: Sequence[SliceScores], by_method: Mapping[str, Sequence[Cell]]
) -> Slices | None:
    """The tables of the slices `found` on `board`; None where there are none.

    Args:
        board: of all users.
        found: its slices.
        by_method: its methods and references → their cells.
    """
    if not found:
        return None
    columns = {each.name: _rows_in(board, each) for each in found}
    means = {
        name: [_mean(by_method[row.key], name, board.metric) for row in rows]
        for name, rows in columns.items()
    }
    caption = f"Test {board.metric} by slice with its 95 % interval"
    scores = _table("slices", caption, board.rows, columns, found, means)
    others = [place for place, row in enumerate(board.rows) if row.key != BASE]
    differences = None
    if any(each.differences for each in found):
        differences = _table(
            "slice-differences",
            f"Differences from {BASE} by slice, paired by seed, with 95 % intervals",
            [board.rows[place] for place in others],
            {name: [rows[place] for place in others] for name, rows in columns.items()},
            found,
        )
    return Slices(scores, differences, _notes(board, found, differences is not None))


def _rows_in(board: Leaderboard, found: SliceScores) -> list[MethodRow]:
    """The board's rows with the score and the difference of one slice."""
    return [
        replace(row, score=found.scores[row.key], difference=found.differences.get(row.key))
        for row in board.rows
    ]


def _mean(cells: Sequence[Cell], name: str, metric: str) -> float | None:
    """The mean over seeds of what the records say of the slice."""
    found = mean_of(cells, metric, name)
    return found if math.isfinite(found) else None


def _table(
    name: str,
    caption: str,
    rows: Sequence[MethodRow],
    columns: Mapping[str, Sequence[MethodRow]],
    found: Sequence[SliceScores],
    means: Mapping[str, Sequence[float | None]] | None = None,
) -> Table:
    """A line per row, a column per slice: scores where `means` are given, else differences."""
    heads = [Column("method", text=True)]
    lines: list[list[Entry]] = [[] for _ in rows]
    for each in found:
        own = columns[each.name]
        scale, drawings = drawn_intervals(own, means is None)
        title = f"{each.extent}; {each.num_users:,} {own[0].asks}"
        heads.append(Column(each.name, title, scale=scale))
        for place, (row, drawing) in enumerate(zip(own, drawings, strict=True)):
            mean = None if means is None else means[each.name][place]
            entry = _difference(row) if means is None else _score(row, mean)
            lines[place].append(replace(entry, drawing=drawing))
    return Table(
        name,
        caption,
        tuple(heads),
        tuple(_line(row, entries) for row, entries in zip(rows, lines, strict=True)),
        stacked=True,
    )


def _score(row: MethodRow, mean: float | None) -> Entry:
    """`.0402 [.0371, .0431]`, sorted by the mean."""
    return Entry(f"{score(mean)} {interval(row.score)}", mean)


def _difference(row: MethodRow) -> Entry:
    """`+.0021 [+.0003, +.0039]`, below it `p .013 *`; references have no p."""
    if row.difference is None:
        return Entry("")
    found = row.difference.estimate
    text = f"{signed(found.mean)} {interval(found, with_sign=True)}"
    below = "" if row.difference.p is None else f"p {p_value(row.difference.p)}"
    if row.difference.verdict in ("better", "worse"):
        below += f" {SHOWN}"
    return Entry(text, found.mean, below=below)


def _line(row: MethodRow, entries: Sequence[Entry]) -> Line:
    """A line that begins with the row's name and leads to its records."""
    name = f"({row.key})" if row.kind == "reference" else row.key + marks(row)
    linked = entries_of(
        row, [name, *(e.text for e in entries)], [row.key, *(e.sort for e in entries)]
    )
    drawn = [
        replace(e, drawing=own.drawing, below=own.below)
        for e, own in zip(linked[1:], entries, strict=True)
    ]
    return line_of(row, [linked[0], *drawn])


def _notes(board: Leaderboard, found: Sequence[SliceScores], differences: bool) -> tuple[str, ...]:
    """What each slice is, and what its figures are."""
    asks = board.setting.asks
    notes = [f"{each.name}: {each.extent}; {each.num_users:,} {asks}" for each in found]
    notes.append(
        f"Intervals are 95 %, over seeds and {asks} (crossed), of the slice's {asks} alone; of"
        f" methods with one seed, over {asks}, given that seed."
    )
    notes += cut_off_note([s for each in found for s in each.scores.values()], board.metric)
    if differences:
        notes.append(
            f"p is Holm-corrected over the methods of one slice, not over slices; {SHOWN}: shown"
            " at 5 % so corrected. References are not tested."
        )
    notes.append(
        f"Ties and every digit within a slice: `gti-bench table {board.setting.name} --slice NAME`"
    )
    return tuple(notes)
