"""A board as text: for the terminal, Markdown and LaTeX (`export` has CSV and JSON)."""

import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from leaderboard.board.board import Leaderboard
from leaderboard.board.learning import Learning
from leaderboard.board.method_rows import BASE, STAGES, MethodRow
from leaderboard.render.entries import bounds, figure
from leaderboard.render.export import board_csv, board_json
from leaderboard.render.numbers import NOTHING, duration, flops, p_value, plain, score, signed
from leaderboard.render.sentences import (
    NO_EVIDENCE,
    footnotes,
    marks,
    pace_note,
    title,
    variance_notes,
    verdict,
    verdicts,
)
from leaderboard.render.table import Entry, Filled, Line, Table, column
from leaderboard.render.writers import latex, markdown, terminal
from leaderboard.statistics.crossed import Estimate

Format = Literal["terminal", "md", "brief", "csv", "json", "latex"]

OTHER_METRICS = ("precision_good@10", "precision_any@10", "recall@10", "ndcg@10", "recall@50")
"""Shown beside the board's metric, as means, where defined; precision on the retrieval track."""

SHOWN = ("better", "worse")
"""Verdicts on a difference that is shown."""


def render(board: Leaderboard, form: Format = "terminal") -> str:
    """`board` in the given form, ending in a newline; "brief" is Markdown with scores alone."""
    if form == "csv":
        return board_csv(board)
    if form == "json":
        return board_json(board)
    forms = {"terminal": _terminal, "md": _markdown, "brief": _brief, "latex": _latex}
    return forms[form](board)


def method_line(row: MethodRow) -> Line:
    """The line of `row`, found by its name, group and summary."""
    return Line(row.key, row.group, f"{row.key} {row.group} {row.summary}")


def _name(row: MethodRow) -> Entry:
    """The row's name with its marks; references in parentheses."""
    text = f"({row.key})" if row.kind == "reference" else row.key + marks(row)
    return Entry(text, row.key)


NAME: Filled[MethodRow] = column("method", "method", _name, "words")
"""The first column of every table that has a line for each method."""


def _mean_at(metric: str) -> Callable[[MethodRow], Entry]:
    """`.0402 ± .0012`, or the mean alone with one seed."""

    def entry(row: MethodRow) -> Entry:
        mean, sd = row.means.get(metric), row.seed_sds.get(metric)
        found = figure(mean)
        return found if sd is None or mean is None else Entry(f"{found.text} ± {score(sd)}", mean)

    return entry


def _seeds(row: MethodRow) -> Entry:
    """How many seeds a method has; a reference needs none."""
    return figure(len(row.paths) if row.kind == "cell" else None, str)


def _difference(row: MethodRow) -> Estimate | None:
    """The difference from `mean`, if there is one."""
    return None if row.difference is None else row.difference.estimate


def _other_metrics(board: Leaderboard) -> list[str]:
    """Metrics shown beside the board's own."""
    return [
        name
        for name in OTHER_METRICS
        if name != board.metric and any(row.means.get(name) is not None for row in board.rows)
    ]


def score_table(board: Leaderboard) -> Table:
    """The scores: mean ± sd, interval, difference from `mean`, p, ties, other metrics.

    The number of seeds is a column only where it differs; the title lists the seeds.
    """
    unlike = len({len(row.paths) for row in board.rows if row.kind == "cell"}) > 1
    columns: list[Filled[MethodRow]] = [
        NAME,
        *([column("seeds", "seeds", _seeds)] if unlike else []),
        column("score", board.metric, _mean_at(board.metric)),
        column("interval", "95 % interval", lambda row: bounds(row.score), meaning="95 % interval"),
        column(
            "difference",
            f"− {BASE}",
            lambda row: figure(found.mean if (found := _difference(row)) else None, signed),
            meaning=f"difference from {BASE}, paired by seed and user",
        ),
        column(
            "difference_interval",
            "95 % interval",
            lambda row: bounds(_difference(row), with_sign=True),
            meaning=f"of the difference from {BASE}",
        ),
        column(
            "p",
            "p",
            lambda row: figure(row.difference.p if row.difference else None, p_value),
            meaning="corrected by Holm over the methods",
        ),
        column(
            "ties",
            "ties",
            lambda row: Entry(row.ties or NOTHING, row.ties or None),
            "letters",
            "methods that share a letter cannot be told apart",
        ),
        *(column(name, name, _mean_at(name)) for name in _other_metrics(board)),
    ]
    caption = f"Test {board.metric} of every method, best first; references in parentheses"
    table = Table.of(board.rows, columns, method_line, "scores", caption)
    return replace(table, sorted_by="score")


def new_rows_table(board: Leaderboard) -> Table:
    """What became of the matrix's new rows at each stage, and the cost."""
    columns: list[Filled[MethodRow]] = [
        NAME,
        column("effective_rank", "effective rank", _stages("effective_rank", 1)),
        column("rsa", "RSA, level 1", _stages("rsa_level_1")),
        column("cosine", "mean cosine", _stages("cosine_mean")),
        column("text_affinity", "text affinity", _stages("text_affinity")),
        column("time", "time", lambda row: figure(row.seconds, duration)),
        column("flops", "FLOPs", lambda row: figure(row.nominal_flops, flops)),
        column("extra", "of it extra", _extra),
    ]
    caption = "New rows at initialization → after grounding → after SFT, and cost per cell"
    cells = [row for row in board.rows if row.kind == "cell"]
    return Table.of(cells, columns, method_line, "rows", caption)


def _extra(row: MethodRow) -> Entry:
    """What was spent of the extra budget; nothing where none was."""
    return Entry(flops(row.extra_flops or None), row.extra_flops)


def _stages(name: str, digits: int | None = None) -> Callable[[MethodRow], Entry]:
    """`1.0 → 12.3 → 14.1`: a number at initialization, after grounding if any, after SFT.

    Each is written with so many `digits`, or as a share.
    """

    def write(value: float | None) -> str:
        return score(value, 2) if digits is None else plain(value, digits)

    def entry(row: MethodRow) -> Entry:
        found = [row.diagnostics[stage][name] for stage in STAGES if stage in row.diagnostics]
        return Entry(" → ".join(map(write, found)), found[-1] if found else None)

    return entry


STAGES_NOTE = (
    "init → (grounding →) SFT; means over seeds. Time and FLOPs are per cell; time is as measured,"
    " whatever else the machine had to do; FLOPs are nominal (the plain form's), `of it extra` is"
    " what was spent of the extra budget."
)


def learning_table(board: Leaderboard) -> Table:
    """The learning curves: where they end, when they reach `mean`'s end, at what cost."""
    columns: list[Filled[Learning]] = [
        column("method", "method", lambda each: _name(board.row(each.key)), "words"),
        column("start", "step 0", lambda each: figure(each.start)),
        column("end", "end", lambda each: figure(each.end)),
        column("difference", f"− {BASE}'s end", _from_base),
        column("reached", "reached it", _reached),
        column("steps", "steps", lambda each: figure(each.steps, "{:.0f}".format)),
        column("flops", "FLOPs of SFT", lambda each: figure(each.nominal_flops, flops)),
        column("flops_in_all", "in all", lambda each: figure(each.nominal_flops_in_all, flops)),
        column("time", "time of SFT", lambda each: figure(each.paced_seconds, duration)),
        column("time_in_all", "in all", lambda each: figure(each.paced_seconds_in_all, duration)),
    ]
    caption = f"When each method first reaches the final validation score of {BASE}"
    return Table.of(
        board.learning, columns, lambda each: method_line(board.row(each.key)), "learning", caption
    )


def _reached(each: Learning) -> Entry:
    """How many seeds reached `mean`'s end."""
    return Entry(f"{each.num_reached} of {each.num_seeds}", each.num_reached)


def _from_base(each: Learning) -> Entry:
    """The difference between a method's end and `mean`'s, with its sd over seeds."""
    if each.key == BASE:
        return Entry(NOTHING, each.difference)
    sd = "" if each.difference_sd is None else f" ± {score(each.difference_sd)}"
    return Entry(signed(each.difference) + sd, each.difference)


def learning_note(board: Leaderboard) -> str:
    """What the learning table's figures are."""
    evaluation = board.setting.evaluation
    users = f"{evaluation.validation_users:,} validation {board.setting.asks}"
    return (
        f"Learning: {board.metric} on a fixed sample of at most {users}, scored at"
        f" {evaluation.curve_points} points after step 0; one user's luck moves a small sample."
        f" Steps, nominal FLOPs and time are until a curve first reaches what {BASE} of the same"
        " seed scores at its end: linear between points, means over the seeds that reached it;"
        f" {BASE} is timed by the same rule. `in all` includes the stages before SFT."
        f"{pace_note(board.pace)}"
    )


def _wrapped(sentence: str) -> str:
    """`sentence` as an indented paragraph with a hanging indent."""
    return textwrap.fill(sentence, 110, initial_indent="  ", subsequent_indent="    ")


def _table_notes(board: Leaderboard) -> list[str]:
    """What lies behind the board's figures, and what the tables under it show."""
    notes = variance_notes(board)
    notes += [STAGES_NOTE] if any(row.kind == "cell" for row in board.rows) else []
    return notes + ([learning_note(board)] if board.learning else [])


def _terminal(board: Leaderboard) -> str:
    """The board for people at a terminal."""
    parts = [title(board), *([] if board.evidence else [NO_EVIDENCE])]
    parts += ["", terminal(score_table(board), "  "), ""]
    parts += [_wrapped(sentence) for sentence in verdicts(board)]
    for table in (new_rows_table(board), learning_table(board)):
        parts += ["", terminal(table, "  ")] if table.lines else []
    parts += ["", *(_wrapped(note) for note in [*footnotes(board), *_table_notes(board)])]
    return "\n".join(parts) + "\n"


def _markdown(board: Leaderboard) -> str:
    """The board as GitHub-flavoured Markdown."""
    parts = _markdown_head(board)
    for table in (score_table(board), new_rows_table(board), learning_table(board)):
        parts += [markdown(table), ""] if table.lines else []
    parts += [f"- {sentence}" for sentence in verdicts(board)]
    parts += ["", *(f"<sub>{note}</sub>  " for note in [*footnotes(board), *_table_notes(board)])]
    return "\n".join(parts) + "\n"


def _brief(board: Leaderboard) -> str:
    """Scores alone as Markdown, and in words the differences that are shown."""
    parts = [*_markdown_head(board), markdown(score_table(board)), ""]
    tested = [row for row in board.rows if row.kind == "cell" and row.difference is not None]
    shown = [row for row in tested if row.difference and row.difference.verdict in SHOWN]
    parts += [f"- {sentence}" for row in shown if (sentence := verdict(row)) is not None]
    if others := [row.key for row in tested if row not in shown]:
        parts.append(f"- No difference from {BASE} can be shown for {', '.join(others)}.")
    parts += ["", *(f"<sub>{note}</sub>  " for note in footnotes(board))]
    return "\n".join(parts) + "\n"


def _markdown_head(board: Leaderboard) -> list[str]:
    """Title, and a warning where the board is no evidence."""
    return [f"### {title(board)}", "", *([] if board.evidence else [f"**{NO_EVIDENCE}**", ""])]


def _latex(board: Leaderboard) -> str:
    """The scores as a table of LaTeX, all that is said of them in its caption."""
    notes = [title(board) + ".", *verdicts(board), *footnotes(board)]
    if not board.evidence:
        notes.insert(1, NO_EVIDENCE)
    return latex(score_table(board), " ".join(notes)) + "\n"
