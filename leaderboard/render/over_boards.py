"""What the boards say of each method together: tables, and the same for programs."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from leaderboard.board.method_rows import BASE
from leaderboard.board.over_boards import GTI, OnBoard, Total, Verdicts, totals
from leaderboard.render.entries import figure, word
from leaderboard.render.numbers import NOTHING, plain
from leaderboard.render.table import Column, Entry, Filled, Line, Table, column
from leaderboard.render.writers import csv_text, json_text, markdown, terminal

Form = Literal["terminal", "md", "csv", "json"]
WORDS = {
    "won": "won",
    "lost": "lost",
    "equal": "equal",
    "open": "open",
    "unjudged": "no verdict",
}
NOT_RUN = "not run"
READING = (
    f"What {GTI} is against each method: in the contrast that a setting declares, on the queries"
    " that it names; elsewhere by the board's tests of all users or queries, claimed only where all"
    " that is declared is shown. A dash: no pair asks.",
    "Each board speaks by the outcome that its setting declares, `ndcg@10` where it declares none,"
    " or by the metric that is asked for; what is declared is told by its own outcome always."
    " Declared: the primary contrasts that a method stands in. Open: neither a difference nor"
    " equality is shown, or it is not claimed behind primary contrasts. No verdict: one seed, or"
    " what else stands in the way. Equality is tested of declared contrasts alone.",
    "Ranks are by the mean, 1 is best. A method can rank where the tests of all pairs of a board,"
    " at 5 % together, leave it (95 % for all methods of a board at once); over boards both ends"
    " are means, and hold where those of every board do. Mean ranks of methods that do not stand"
    " on the same boards do not compare.",
    "Core-hours are what the cells took where they ran, one core or GPU each, tuning apart.",
)


def _verdicts(found: Verdicts) -> Entry:
    """`1 won, 3 open`, sorted by what was won less what was lost."""
    counts = asdict(found)
    told = [f"{counts[key]} {name}" for key, name in WORDS.items() if counts[key]]
    return Entry(", ".join(told) or NOTHING, found.won - found.lost if told else None)


def _between(low: float | None, high: float | None, digits: int) -> Entry:
    """`[1, 5]`, sorted by the better end."""
    if low is None or high is None:
        return Entry(NOTHING)
    return Entry(f"[{plain(low, digits)}, {plain(high, digits)}]", low)


def _rank(each: OnBoard) -> Entry:
    """`2 of 6`."""
    return figure(each.rank, lambda rank: f"{rank} of {each.methods}")


def _hours(hours: float) -> Entry:
    """`1.3`."""
    return figure(hours, lambda value: plain(value, 1 if value >= 1 else 2))


TOTALS: tuple[Filled[Total], ...] = (
    column("method", "method", lambda each: word(each.method), "words"),
    column("boards", "boards", lambda each: figure(each.boards, str)),
    column("declared", "declared", lambda each: _verdicts(each.declared), "words"),
    column("base", f"against {BASE}", lambda each: _verdicts(each.against_base), "words"),
    column("rank", "mean rank", lambda each: figure(each.rank, lambda rank: plain(rank, 1))),
    column("between", "can rank", lambda each: _between(each.low, each.high, 1)),
    column("hours", "core-hours", lambda each: _hours(each.hours)),
)
BY_BOARD: tuple[Filled[OnBoard], ...] = (
    column("board", "board", lambda each: word(each.setting), "words"),
    column("metric", "by", lambda each: word(each.metric), "words"),
    column("method", "method", lambda each: word(each.method), "words"),
    column("declared", "declared", lambda each: _verdicts(each.declared), "words"),
    column("base", f"against {BASE}", lambda each: _verdicts(each.against_base), "words"),
    column(
        "rank", "rank", lambda each: figure(each.rank, lambda rank: f"{rank} of {each.methods}")
    ),
    column("between", "can rank", lambda each: _between(each.low, each.high, 0)),
    column("hours", "core-hours", lambda each: _hours(each.hours)),
)


def _boards(found: Sequence[OnBoard]) -> int:
    """How many boards `found` is of."""
    return len({each.setting_hash for each in found})


def total_tables(found: Sequence[OnBoard]) -> list[Table]:
    """A line for each method: over the boards that are evidence, then over all where these differ.

    Where no board is evidence there is the second alone, and its caption says so.
    """
    evidence = [each for each in found if each.evidence]
    made = []
    if evidence:
        made.append(_total_table(evidence, f"Over {_named(evidence)} of evidence", "over-evidence"))
    if len(evidence) < len(found):
        what = "of which some are no evidence" if evidence else "none of it evidence about GTI"
        made.append(_total_table(found, f"Over {_named(found)}, {what}", "over-all"))
    return made


def _named(found: Sequence[OnBoard]) -> str:
    """`2 boards`."""
    count = _boards(found)
    return f"{count} board{'' if count == 1 else 's'}"


def _total_table(found: Sequence[OnBoard], caption: str, name: str) -> Table:
    return Table.of(totals(found), TOTALS, lambda each: Line(each.method), name, caption)


def gti_table(found: Sequence[OnBoard]) -> Table | None:
    """What `gti` is against each other method, a column for each board, those of evidence first.

    None where no board sets it beside another method.
    """
    asked = {each.setting_hash: each for each in found if each.gti_is is not None}
    boards = sorted(asked.values(), key=lambda each: not each.evidence)
    marks = {(each.method, each.setting_hash): each.gti_is for each in found}
    methods = dict.fromkeys(each.method for each in found if each.gti_is is not None)
    if not boards:
        return None
    columns: list[Filled[str]] = [column("method", "method", word, "words")]
    for board in boards:

        def mark(method: str, here: str = board.setting_hash) -> Entry:
            if (method, here) not in marks:
                return Entry(NOT_RUN)
            return word(marks[method, here] or NOTHING)

        tag = "" if board.evidence else " (no evidence)"
        columns.append((Column(board.setting_hash, f"{board.setting}{tag}", "words"), mark))
    caption = f"{GTI} against each method"
    return Table.of(methods, columns, lambda method: Line(method), "gti-against", caption)


def board_table(found: Sequence[OnBoard]) -> Table:
    """A line for each method of each board."""
    return Table.of(found, BY_BOARD, lambda each: Line(each.method), "by-board", "Board by board")


def over_boards_text(found: Sequence[OnBoard], form: Form) -> str:
    """What the boards say together, in the given form, ending in a newline."""
    if form == "json":
        return json_text(content(found)) + "\n"
    if form == "csv":
        return csv_text([_flat(each) for each in found])
    parts = []
    beside = gti_table(found)
    first = [] if beside is None else [beside]
    for table in [*first, *total_tables(found), board_table(found)]:
        if form == "md":
            parts += [f"### {table.caption}", "", markdown(table), ""]
        else:
            parts += [table.caption, "", terminal(table, "  "), ""]
    told = map(_wrapped, READING) if form == "terminal" else (f"<sub>{r}</sub>  " for r in READING)
    return "\n".join([*parts, *told]) + "\n"


def _wrapped(sentence: str) -> str:
    """`sentence` for a terminal."""
    return textwrap.fill(sentence, 110)


def content(found: Sequence[OnBoard]) -> dict[str, Any]:
    """The same as JSON-ready values; undefined is null."""
    evidence = [each for each in found if each.evidence]
    return {
        "by_board": [asdict(each) for each in found],
        "over_evidence": [asdict(each) for each in totals(evidence)],
        "over_all": [asdict(each) for each in totals(found)],
    }


def _flat(each: OnBoard) -> dict[str, Any]:
    """One line of CSV."""
    flat = asdict(each)
    for part in ("declared", "against_base"):
        flat |= {f"{part}_{name}": count for name, count in flat.pop(part).items()}
    return flat
