"""The tables of a page: the texts of `gti-bench table`, what sorts them, where they lead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import STAGES, MethodRow, metrics_of
from leaderboard.figures.intervals import (
    Interval,
    beyond_scores,
    draw_interval,
    draw_scale,
    interval_axis,
)
from leaderboard.records.cells import Cell
from leaderboard.render.numbers import NOTHING
from leaderboard.render.tables import learning_table, rows_table, score_table
from leaderboard.site.summary import at_one_seed
from leaderboard.statistics.crossed import Estimate

MOST_LINKS = 10
"""Seeds linked one by one in a row."""

Sort = float | str | None


@dataclass(frozen=True)
class Column:
    """A column's name, what it means, and its axis where intervals are drawn in it.

    `text`: sorted as words, upwards first; `wide`: its text may take several lines.
    """

    name: str
    title: str = ""
    text: bool = False
    wide: bool = False
    scale: Markup | None = None


@dataclass(frozen=True)
class Entry:
    """A table's cell: its text, what it is sorted by, where it leads, and what is drawn in it.

    `links` are further addresses by name, shown in place of the text; `below` is a remark on the
    text, beside what is drawn; `state` marks a row's standing.
    """

    text: str
    sort: Sort = None
    link: str | None = None
    drawing: Markup | None = None
    links: tuple[tuple[str, str], ...] = ()
    below: str = ""
    state: bool = False


@dataclass(frozen=True)
class Line:
    """A table's row; the first entry is its header.

    `group` and `search` are what the filter chooses by; `id` is what links lead to.
    """

    key: str
    group: str
    search: str
    entries: tuple[Entry, ...]
    id: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption; `sorted_by` is the column it is sorted by, downwards.

    `stacked`: what is drawn in a cell stands below its text, not beside it.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    sorted_by: int | None = None
    stacked: bool = False


MEANINGS = {
    "ties": "methods that share a letter cannot be told apart",
    "p": "corrected by Holm over the methods",
    "− mean": "difference from mean, paired by seed and user",
    "95 % interval": "95 % interval",
}


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
    header, body = score_table(board)
    if "seeds" in header:  # a column of links of our own stands for their number
        place = header.index("seeds")
        header, body = _without(header, place), [_without(texts, place) for texts in body]
    others = header[header.index("ties") + 1 :]
    own = header.index(board.metric)
    drawn = {own + 1: drawn_intervals(board.rows, False)}
    drawn[own + 3] = drawn_intervals(board.rows, True)
    columns = [
        Column(
            name,
            "of the difference from mean" if place == own + 3 else MEANINGS.get(name, ""),
            text=name in ("method", "ties"),
            scale=drawn[place][0] if place in drawn else None,
        )
        for place, name in enumerate(header)
    ]
    columns.append(Column("standing", "claimed, verified or reproduced", text=True))
    columns.append(Column("seeds", "each leads to its record"))
    lines = []
    for index, (row, texts) in enumerate(zip(board.rows, body, strict=True)):
        entries = entries_of(row, texts, _score_sorts(board, row, others))
        for place, (_, drawings) in drawn.items():
            entries[place] = replace(entries[place], drawing=drawings[index])
        entries.append(Entry(row.standing.state, row.standing.state, state=True))
        entries.append(_seed_links(row))
        lines.append(line_of(row, entries))
    caption = f"Test {board.metric} of every method, best first; references in parentheses"
    return Table("scores", caption, tuple(columns), tuple(lines), own)


def _without(cells: Sequence[str], place: int) -> list[str]:
    return [*cells[:place], *cells[place + 1 :]]


def drawn_intervals(rows: Sequence[MethodRow], difference: bool) -> tuple[Markup, list[Markup]]:
    """A column's axis and the intervals of its `rows`: of the scores, or of the differences."""
    found = [_interval(row, difference) for row in rows]
    axis = interval_axis([each for each in found if each is not None], tick, zero=difference)
    drawings = [
        draw_interval(axis, each, _kind(row, difference))
        for row, each in zip(rows, found, strict=True)
    ]
    return draw_scale(axis), drawings


def _score_sorts(board: Leaderboard, row: MethodRow, others: Sequence[str]) -> list[Sort]:
    """What the columns of `score_table`, without `seeds`, are sorted by."""
    found = row.difference.estimate if row.difference else None
    return [
        row.key,
        row.means.get(board.metric),
        row.score.low if row.score else None,
        found.mean if found else None,
        found.low if found else None,
        row.difference.p if row.difference else None,
        row.ties or None,
        *(row.means.get(name) for name in others),
    ]


def tick(value: float) -> str:
    """A tick of an interval's axis."""
    text = f"{value:.4g}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def line_of(row: MethodRow, entries: Sequence[Entry]) -> Line:
    """The line of `row`, found by its name, group and summary."""
    return Line(row.key, row.group, f"{row.key} {row.group} {row.summary}", tuple(entries))


def rows(board: Leaderboard) -> Table | None:
    """What became of the new rows, and the cost; sorted by the last stage's numbers."""
    header, body = rows_table(board)
    cells = [row for row in board.rows if row.kind == "cell"]
    if not body:
        return None
    names = ("effective_rank", "rsa_spearman", "cosine_mean", "text_affinity")
    lines = []
    for row, texts in zip(cells, body, strict=True):
        sorts: list[Sort] = [row.key, *(_last(row, name) for name in names)]
        sorts += [row.seconds, row.nominal_flops, row.extra_flops]
        lines.append(line_of(row, entries_of(row, texts, sorts)))
    caption = "New rows at initialization → after grounding → after SFT, and cost per cell"
    return Table("rows", caption, _columns(header), tuple(lines))


def _last(row: MethodRow, name: str) -> float | None:
    """The number called `name` after the last stage that has one."""
    found = [row.diagnostics[s][name] for s in STAGES if s in row.diagnostics]
    return found[-1] if found else None


def learning(board: Leaderboard) -> Table | None:
    """Who reaches `mean`'s final validation score, and at what cost."""
    header, body = learning_table(board)
    if not body:
        return None
    lines = []
    for each, texts in zip(board.learning, body, strict=True):
        sorts: list[Sort] = [each.key, each.start, each.end, each.difference, each.num_reached]
        sorts += [each.steps, each.nominal_flops, each.nominal_flops_in_all]
        sorts += [each.paced_seconds, each.paced_seconds_in_all]
        row = board.row(each.key)
        lines.append(line_of(row, entries_of(row, texts, sorts)))
    caption = "When each method first reaches the final validation score of mean"
    return Table("learning", caption, _columns(header), tuple(lines))


def _columns(header: Sequence[str]) -> tuple[Column, ...]:
    return tuple(Column(name, text=name == "method") for name in header)


def entries_of(row: MethodRow, texts: Sequence[str], sorts: Sequence[Sort]) -> list[Entry]:
    """Entries whose first leads to the method and whose figures lead to its records."""
    first = Entry(texts[0], sorts[0], f"../methods/{row.key}.html")
    rest = zip(texts[1:], sorts[1:], strict=True)
    link = f"#records-{row.key}"
    return [
        first,
        *(Entry(t or NOTHING, s, link if any(map(str.isdigit, t)) else None) for t, s in rest),
    ]


def records(board: Leaderboard, by_method: Mapping[str, Sequence[Cell]]) -> Table:
    """Every record behind the board: its score with all digits, its digests, where it ran."""
    header = ["record", board.metric, "digest", "code", "machine", "warnings"]
    lines = []
    for row in board.rows:
        for place, cell in enumerate(by_method[row.key]):
            record = cell.record
            value = metrics_of(record).get(board.metric)
            where = record.environment.instruction_set or record.environment.machine
            commit = (record.code.commit or "unknown")[:10] + ("+" if record.code.dirty else "")
            address = f"../{row.paths[record.seed].as_posix()}"
            texts = [
                Entry(f"{row.key} · seed {record.seed}", f"{row.key} {record.seed:09d}", address),
                Entry(NOTHING if value is None else repr(value), value, address),
                Entry(record.digest[:12], record.digest),
                Entry(commit, commit),
                Entry(f"{where}, {record.environment.device}", where),
                Entry("; ".join(record.warnings) or NOTHING, len(record.warnings)),
            ]
            line = line_of(row, texts)
            lines.append(line if place else replace(line, id=f"records-{row.key}"))
    columns = tuple(
        Column(name, text=name not in (board.metric, "warnings"), wide=name == "warnings")
        for name in header
    )
    return Table("records", "Every record behind this board", columns, tuple(lines))
