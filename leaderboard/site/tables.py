"""The tables of a page: those of `gti-bench table`, with intervals drawn and links to records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import MethodRow, metrics_of
from leaderboard.figures.intervals import (
    Axis,
    Interval,
    beyond_scores,
    draw_interval,
    draw_scale,
    interval_axis,
)
from leaderboard.records.cells import Cell
from leaderboard.render.board_tables import cost_table, new_rows_table, score_table
from leaderboard.render.entries import figure, word
from leaderboard.render.learning import learning_table
from leaderboard.render.lines import method_line
from leaderboard.render.numbers import NOTHING
from leaderboard.render.table import Column, Entry, Filled, Line, Table, column
from leaderboard.site.summary import at_one_seed
from leaderboard.statistics.crossed import Estimate

MOST_LINKS = 10
"""Seeds linked one by one in a row."""


def _interval(row: MethodRow, difference: bool) -> Interval | None:
    """The row's score, or its difference from `mean`."""
    found = row.score
    if difference:
        found = None if row.difference is None else row.difference.estimate
    return None if found is None else Interval(found.mean, found.low, found.high)


def cut_off_note(found: Sequence[Estimate | None], metric: str) -> list[str]:
    """That a drawing ends where scores do; nothing where all intervals do as well."""
    if not any(each is not None and beyond_scores(each.low, each.high) for each in found):
        return []
    return [
        f"An interval is symmetrical about its mean, so that one of a {metric} near 0 may reach"
        " below it, where no score can be: it is drawn to 0, and told whole beside it."
    ]


def _kind(row: MethodRow, difference: bool) -> str:
    """The CSS class of an interval."""
    if not difference or row.difference is None or row.kind == "reference":
        return row.kind
    if row.difference.verdict not in ("better", "worse"):
        return "open"
    return f"{row.difference.verdict} alone" if at_one_seed(row) else row.difference.verdict


def _seed_links(row: MethodRow) -> Entry:
    """The row's seeds, each a link to its record; its count where there are many."""
    count = len(row.paths)
    if count > MOST_LINKS:
        return Entry(f"{count} records", count, f"#records-{row.key}")
    links = tuple((str(seed), f"../{path.as_posix()}") for seed, path in row.paths.items())
    return Entry("", count, links=links)


def scores(board: Leaderboard) -> Table:
    """The main table: scores, differences with intervals drawn, ties, standing, records."""
    # A column of links of our own stands for the number of seeds.
    table = linked(score_table(board).without("seeds"))
    table = with_intervals_of(table, "interval", board.rows, difference=False)
    table = with_intervals_of(table, "difference_interval", board.rows, difference=True)
    table = table.with_column(
        Column("standing", "standing", "state", "claimed, verified or reproduced"),
        [word(row.standing.state) for row in board.rows],
    )
    return table.with_column(
        Column("records", "seeds", meaning="each leads to its record"),
        [_seed_links(row) for row in board.rows],
    )


def with_intervals_of(
    table: Table, key: str, rows: Sequence[MethodRow], *, difference: bool
) -> Table:
    """`table` with the intervals of `rows` in column `key`: of scores, or of differences."""
    found = [_interval(row, difference) for row in rows]
    axis = interval_axis([each for each in found if each is not None], tick, zero=difference)
    return with_intervals(table, key, axis, found, [_kind(row, difference) for row in rows])


def with_intervals(
    table: Table, key: str, axis: Axis, found: Sequence[Interval | None], kinds: Sequence[str]
) -> Table:
    """`table` with `found` drawn in column `key`, line by line, and their axis above them.

    Args:
        table: whose lines they are of.
        key: of the column.
        axis: theirs.
        found: the intervals.
        kinds: their CSS classes.
    """
    entries = [
        replace(own, drawing=draw_interval(axis, each, kind))
        for own, each, kind in zip(table.entries(key), found, kinds, strict=True)
    ]
    return table.with_column(replace(table[key], scale=draw_scale(axis)), entries)


def tick(value: float) -> str:
    """A tick of an interval's axis."""
    text = f"{value:.4g}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def linked(table: Table) -> Table:
    """`table` whose names lead to the methods and whose figures lead to their records."""

    def entries(line: Line) -> dict[str, Entry]:
        return {key: _linked(line.key, key, entry) for key, entry in line.entries.items()}

    return replace(table, lines=tuple(replace(line, entries=entries(line)) for line in table.lines))


def _linked(method: str, key: str, entry: Entry) -> Entry:
    """`entry` of column `key`, with an address if it is a name or has figures."""
    if key == "method":
        return replace(entry, link=f"../methods/{method}.html")
    has_figures = any(map(str.isdigit, entry.text))
    link = f"#records-{method}" if has_figures else None
    return replace(entry, text=entry.text or NOTHING, link=link)


def new_rows(board: Leaderboard) -> Table | None:
    """What became of the new rows; None without a method."""
    table = linked(new_rows_table(board))
    return table if table.lines else None


def cost(board: Leaderboard) -> Table | None:
    """What a cell of each method costs; None without a method."""
    table = linked(cost_table(board))
    return table if table.lines else None


def learning(board: Leaderboard) -> Table | None:
    """Who reaches `mean`'s final validation score, and at what cost; None without curves."""
    table = linked(learning_table(board))
    return table if table.lines else None


def records(board: Leaderboard, by_method: Mapping[str, Sequence[Cell]]) -> Table:
    """Every record behind the board: its score with all digits, its digests, where it ran."""

    def address(cell: Cell) -> str:
        record = cell.record
        return f"../{board.row(record.method.key).paths[record.seed].as_posix()}"

    def name(cell: Cell) -> Entry:
        key, seed = cell.record.method.key, cell.record.seed
        return Entry(f"{key} · seed {seed}", f"{key} {seed:09d}", address(cell))

    def value(cell: Cell) -> Entry:
        found = figure(metrics_of(cell.record).get(board.metric), repr)
        return replace(found, link=address(cell))

    def line(cell: Cell) -> Line:
        key = cell.record.method.key
        found = method_line(board.row(key))
        return replace(found, id=f"records-{key}") if cell is by_method[key][0] else found

    columns: list[Filled[Cell]] = [
        column("record", "record", name, "words"),
        column("score", board.metric, value),
        column("digest", "digest", _digest, "words"),
        column("code", "code", _code, "words"),
        column("machine", "machine", _machine, "words"),
        column("warnings", "warnings", _warnings, "prose"),
    ]
    cells = [cell for row in board.rows for cell in by_method[row.key]]
    return Table.of(cells, columns, line, "records", "Every record behind this board")


def _digest(cell: Cell) -> Entry:
    """The beginning of the record's digest."""
    return Entry(cell.record.digest[:12], cell.record.digest)


def _code(cell: Cell) -> Entry:
    """The commit, with a mark where changes were not committed."""
    code = cell.record.code
    return word((code.commit or "unknown")[:10] + ("+" if code.dirty else ""))


def _machine(cell: Cell) -> Entry:
    """Where the cell ran, sorted by the instruction set."""
    ran = cell.record.environment
    where = ran.instruction_set or ran.machine
    return Entry(f"{where}, {ran.device}", where)


def _warnings(cell: Cell) -> Entry:
    """What the run warned of, sorted by how much."""
    found = cell.record.warnings
    return Entry("; ".join(found) or NOTHING, len(found))
