"""A board as text: for the terminal, Markdown and LaTeX (`export` has CSV and JSON)."""

import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import BASE, STAGES, MethodRow
from leaderboard.metrics.metrics import is_loss
from leaderboard.render.entries import bounds, figure, word
from leaderboard.render.export import board_csv, board_json
from leaderboard.render.learning import learning_note, learning_table
from leaderboard.render.lines import method_line, name_of
from leaderboard.render.numbers import NOTHING, duration, flops, p_value, plain, score, signed
from leaderboard.render.primary import primary_sentences
from leaderboard.render.sentences import (
    NO_EVIDENCE,
    footnotes,
    title,
    variance_notes,
    verdict,
    verdicts,
)
from leaderboard.render.table import Entry, Filled, Table, column
from leaderboard.render.treatment import treatment_lines
from leaderboard.render.writers import latex, markdown, terminal
from leaderboard.statistics.crossed import Estimate

Format = Literal["terminal", "md", "brief", "csv", "json", "latex"]

OTHER_METRICS = (
    *("trie_nll", "precision_good@10", "precision_any@10", "recall@10", "ndcg@10", "recall@50"),
)
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


NAME: Filled[MethodRow] = column("method", "method", name_of, "words")
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
            meaning="Holm-corrected over the differences that board and contrasts show",
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
    less = " (less is better)" if is_loss(board.metric) else ""
    caption = f"Test {board.metric}{less} of every method, best first; references in parentheses"
    table = Table.of(board.rows, columns, method_line, "scores", caption)
    return replace(table, sorted_by="score")


def new_rows_table(board: Leaderboard) -> Table:
    """What became of the matrix's new rows at each stage, and of the model's plain English."""
    cells = [row for row in board.rows if row.kind == "cell"]
    columns: list[Filled[MethodRow]] = [
        NAME,
        column("effective_rank", "effective rank", _stages("effective_rank", 1)),
        column("rsa", "RSA, level 1", _stages("rsa_level_1")),
        column("cosine", "mean cosine", _stages("cosine_mean")),
        column("text_affinity", "text affinity", _stages("text_affinity")),
    ]
    if any(row.taken is not None for row in cells):
        columns.append(column("grounding", "grounding", _grounding, "words"))
    if any(row.retained is not None for row in cells):
        columns.append(
            column("retained", "bits/char", _retained, meaning="of plain English, before → after")
        )
    caption = "New rows at initialization → after grounding → after SFT"
    return Table.of(cells, columns, method_line, "rows", caption)


def cost_table(board: Leaderboard) -> Table:
    """What a cell of each method costs: time, nominal and actual FLOPs."""
    base = next((row.actual_flops for row in board.rows if row.key == BASE), None)

    def actual(row: MethodRow) -> Entry:
        found = figure(row.actual_flops, flops)
        if row.actual_flops is None or not base:
            return found
        return replace(found, text=f"{found.text} (× {plain(row.actual_flops / base)})")

    columns: list[Filled[MethodRow]] = [
        NAME,
        column("time", "time", lambda row: figure(row.seconds, duration)),
        column("flops", "nominal FLOPs", lambda row: figure(row.nominal_flops, flops)),
        column("extra", "of it extra", _extra),
        column("actual", f"actual FLOPs (× {BASE}'s)", actual),
    ]
    cells = [row for row in board.rows if row.kind == "cell"]
    return Table.of(cells, columns, method_line, "cost", "What one cell costs, all stages")


def _grounding(row: MethodRow) -> Entry:
    """Whether grounding took; nothing where a method has none."""
    return Entry(NOTHING) if row.taken is None else word(row.taken.state)


def _retained(row: MethodRow) -> Entry:
    """Bits per character of plain English before → after."""
    if row.retained is None:
        return Entry(NOTHING)
    return Entry(" → ".join(map(plain, row.retained)), row.retained[1])


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
    "init → (grounding →) SFT; means over seeds. bits/char: of pages of plain English, by the"
    " backbone before it got new tokens → after SFT; more is forgotten."
)

COST_NOTE = (
    "Costs are per cell, means over seeds; time is as measured, whatever else the machine had to"
    " do. Budgets are equal in nominal FLOPs (the plain form's); what the code computed stands"
    f" beside, as a multiple of {BASE}'s. `of it extra` is what was spent of the extra budget,"
    " nominal."
)


def _wrapped(sentence: str) -> str:
    """`sentence` as an indented paragraph with a hanging indent."""
    return textwrap.fill(sentence, 110, initial_indent="  ", subsequent_indent="    ")


def _table_notes(board: Leaderboard) -> list[str]:
    """What lies behind the board's figures, and what the tables under it show."""
    notes = variance_notes(board)
    if any(row.kind == "cell" for row in board.rows):
        notes += [STAGES_NOTE, COST_NOTE]
    notes += treatment_lines({row.key: row.taken for row in board.rows if row.taken is not None})
    return notes + ([learning_note(board)] if board.learning else [])


def _terminal(board: Leaderboard) -> str:
    """The board for people at a terminal."""
    parts = [title(board), *([] if board.evidence else [NO_EVIDENCE])]
    parts += ["", terminal(score_table(board), "  "), ""]
    told = [*primary_sentences(board.family.decided), *verdicts(board)]
    parts += [_wrapped(sentence) for sentence in told]
    for table in (new_rows_table(board), cost_table(board), learning_table(board)):
        parts += ["", terminal(table, "  ")] if table.lines else []
    parts += ["", *(_wrapped(note) for note in [*footnotes(board), *_table_notes(board)])]
    return "\n".join(parts) + "\n"


def _markdown(board: Leaderboard) -> str:
    """The board as GitHub-flavoured Markdown."""
    parts = _markdown_head(board)
    tables = (score_table, new_rows_table, cost_table, learning_table)
    for table in (make(board) for make in tables):
        parts += [markdown(table), ""] if table.lines else []
    told = [*primary_sentences(board.family.decided), *verdicts(board)]
    parts += [f"- {sentence}" for sentence in told]
    parts += ["", *(f"<sub>{note}</sub>  " for note in [*footnotes(board), *_table_notes(board)])]
    return "\n".join(parts) + "\n"


def _brief(board: Leaderboard) -> str:
    """Scores alone as Markdown, and in words the differences that are shown."""
    parts = [*_markdown_head(board), markdown(score_table(board)), ""]
    tested = [row for row in board.rows if row.kind == "cell" and row.difference is not None]
    shown = [row for row in tested if row.difference and row.difference.verdict in SHOWN]
    parts += [f"- {sentence}" for sentence in primary_sentences(board.family.decided)]
    parts += [f"- {sentence}" for row in shown if (sentence := verdict(row)) is not None]
    unlike = [row for row in tested if row.difference and row.difference.obstacles]
    if others := [row.key for row in tested if row not in shown and row not in unlike]:
        parts.append(
            f"- By {board.metric} no difference from {BASE} can be shown for {', '.join(others)}."
        )
    parts += [f"- {sentence}" for row in unlike if (sentence := verdict(row)) is not None]
    parts += ["", *(f"<sub>{note}</sub>  " for note in footnotes(board))]
    return "\n".join(parts) + "\n"


def _markdown_head(board: Leaderboard) -> list[str]:
    """Title, and a warning where the board is no evidence."""
    return [f"### {title(board)}", "", *([] if board.evidence else [f"**{NO_EVIDENCE}**", ""])]


def _latex(board: Leaderboard) -> str:
    """The scores as a table of LaTeX, all that is said of them in its caption."""
    told = [*primary_sentences(board.family.decided), *verdicts(board)]
    notes = [title(board) + ".", *told, *footnotes(board)]
    if not board.evidence:
        notes.insert(1, NO_EVIDENCE)
    return latex(score_table(board), " ".join(notes)) + "\n"
