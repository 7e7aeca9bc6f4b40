"""The tables of slices: scores, and differences from `mean`, each with its interval drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from leaderboard.board.board import Leaderboard
from leaderboard.board.by_slice import SliceScores
from leaderboard.board.method_rows import BASE, MethodRow, mean_of
from leaderboard.records.cells import Cell
from leaderboard.render.board_tables import NAME
from leaderboard.render.lines import method_line
from leaderboard.render.numbers import interval, p_value, score, signed
from leaderboard.render.table import Entry, Filled, Table, column
from leaderboard.site.tables import cut_off_note, linked, with_intervals_of

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

    def score_in(each: SliceScores, row: MethodRow) -> Entry:
        mean = _mean(by_method[row.key], each.name, board.metric)
        return Entry(f"{score(mean)} {interval(each.scores[row.key])}", mean)

    caption = f"Test {board.metric} by slice with its 95 % interval"
    scores = _table("slices", caption, board.rows, found, score_in, difference=False)
    differences = None
    if any(each.differences for each in found):
        differences = _table(
            "slice-differences",
            f"Differences from {BASE} by slice, paired by seed, with 95 % intervals",
            [row for row in board.rows if row.key != BASE],
            found,
            _difference,
            difference=True,
        )
    return Slices(scores, differences, _notes(board, found, differences is not None))


def _row_in(each: SliceScores, row: MethodRow) -> MethodRow:
    """The board's `row` with the score and the difference of one slice."""
    return replace(row, score=each.scores[row.key], difference=each.differences.get(row.key))


def _mean(cells: Sequence[Cell], name: str, metric: str) -> float | None:
    """The mean over seeds of what the records say of the slice."""
    return mean_of(cells, metric, name)


def _table(
    name: str,
    caption: str,
    rows: Sequence[MethodRow],
    found: Sequence[SliceScores],
    entry: Callable[[SliceScores, MethodRow], Entry],
    *,
    difference: bool,
) -> Table:
    """A line per row, a column per slice, with intervals of scores or of differences."""
    columns: list[Filled[MethodRow]] = [NAME]
    for each in found:
        meaning = f"{each.extent}; {each.num_users:,} {rows[0].asks}"
        columns.append(column(each.name, each.name, partial(entry, each), meaning=meaning))
    table = linked(Table.of(rows, columns, method_line, name, caption))
    for each in found:
        own = [_row_in(each, row) for row in rows]
        table = with_intervals_of(table, each.name, own, difference=difference)
    return replace(table, stacked=True)


def _difference(each: SliceScores, row: MethodRow) -> Entry:
    """`+.0021 [+.0003, +.0039]`, below it `p .013 *`; references have no p."""
    found = each.differences.get(row.key)
    if found is None:
        return Entry("")
    text = f"{signed(found.estimate.mean)} {interval(found.estimate, with_sign=True)}"
    below = "" if found.p is None else f"p {p_value(found.p)}"
    if found.verdict in ("better", "worse"):
        below += f" {SHOWN}"
    return Entry(text, found.estimate.mean, below=below)


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
        behind = "" if board.family.decided is None else ", behind the primary contrasts"
        notes.append(
            "p is Holm-corrected over the differences of one slice, not over slices"
            f"{behind}; {SHOWN}: shown at 5 % so corrected. References are not tested."
        )
    notes.append(
        f"Ties and every digit within a slice: `gti-bench table {board.setting.name} --slice NAME`"
    )
    return tuple(notes)
