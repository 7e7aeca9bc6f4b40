"""A board as text: for the terminal, Markdown and LaTeX (`export` has CSV and JSON)."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Literal

from tabulate import SEPARATING_LINE, tabulate

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import BASE, STAGES, MethodRow
from leaderboard.render.export import board_csv, board_json
from leaderboard.render.numbers import (
    NOTHING,
    duration,
    flops,
    interval,
    p_value,
    plain,
    score,
    signed,
)
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

Format = Literal["terminal", "md", "brief", "csv", "json", "latex"]

OTHER_METRICS = ("precision_good@10", "precision_any@10", "recall@10", "ndcg@10", "recall@50")
"""Shown beside the board's metric, as means, where defined; precision on the retrieval track."""

SHOWN = ("better", "worse")
"""Verdicts on a difference that is shown."""
Cells = list[str]


def render(board: Leaderboard, form: Format = "terminal") -> str:
    """`board` in the given form, ending in a newline; "brief" is Markdown with scores alone."""
    if form == "csv":
        return board_csv(board)
    if form == "json":
        return board_json(board)
    forms = {"terminal": _terminal, "md": _markdown, "brief": _brief, "latex": _latex}
    return forms[form](board)


def _name(row: MethodRow) -> str:
    """The row's name with its marks; references in parentheses."""
    return f"({row.key})" if row.kind == "reference" else row.key + marks(row)


def _with_sd(mean: float | None, sd: float | None) -> str:
    """`.0402 ± .0012`, or the mean alone with one seed."""
    return score(mean) if sd is None or mean is None else f"{score(mean)} ± {score(sd)}"


def _other_metrics(board: Leaderboard) -> list[str]:
    """Metrics shown beside the board's own."""
    return [
        name
        for name in OTHER_METRICS
        if name != board.metric and any(row.means.get(name) is not None for row in board.rows)
    ]


def score_table(board: Leaderboard) -> tuple[Cells, list[Cells]]:
    """Header and cells of the scores: mean ± sd, interval, difference from `mean`, p, ties.

    The number of seeds is a column only where it differs; the title lists the seeds.
    """
    others = _other_metrics(board)
    unlike = len({len(row.paths) for row in board.rows if row.kind == "cell"}) > 1
    header = ["method", *(["seeds"] if unlike else []), board.metric, "95 % interval"]
    header += [f"− {BASE}", "95 % interval", "p", "ties", *others]
    body = []
    for row in board.rows:
        difference = row.difference
        found = None if difference is None else difference.estimate
        body.append(
            [
                _name(row),
                *([str(len(row.paths)) if row.kind == "cell" else NOTHING] if unlike else []),
                _with_sd(row.means.get(board.metric), row.seed_sds.get(board.metric)),
                interval(row.score),
                signed(None if found is None else found.mean),
                interval(found, with_sign=True),
                p_value(None if difference is None else difference.p),
                row.ties or NOTHING,
                *(_with_sd(row.means.get(name), row.seed_sds.get(name)) for name in others),
            ]
        )
    return header, body


def rows_table(board: Leaderboard) -> tuple[Cells, list[Cells]]:
    """Header and cells of what became of the new rows at each stage, and of the cost."""
    header = ["method", "effective rank", "RSA (Spearman)", "mean cosine", "text affinity"]
    header += ["time", "FLOPs", "of it extra"]
    body = []
    for row in board.rows:
        if row.kind == "reference":
            continue
        body.append(
            [
                _name(row),
                _stages(row, "effective_rank", lambda value: plain(value, 1)),
                _stages(row, "rsa_spearman", lambda value: score(value, 2)),
                _stages(row, "cosine_mean", lambda value: score(value, 2)),
                _stages(row, "text_affinity", lambda value: score(value, 2)),
                duration(row.seconds),
                flops(row.nominal_flops),
                flops(row.extra_flops) if row.extra_flops else NOTHING,
            ]
        )
    return header, body


def _stages(row: MethodRow, name: str, write: Callable[[float | None], str]) -> str:
    """`1.0 → 12.3 → 14.1`: a number at initialization, after grounding if any, after SFT."""
    return " → ".join(
        write(row.diagnostics[stage][name]) for stage in STAGES if stage in row.diagnostics
    )


STAGES_NOTE = (
    "init → (grounding →) SFT; means over seeds. Time and FLOPs are per cell; time is as measured,"
    " whatever else the machine had to do; FLOPs are nominal (the plain form's), `of it extra` is"
    " what was spent of the extra budget."
)


def learning_table(board: Leaderboard) -> tuple[Cells, list[Cells]]:
    """Header and cells of the learning curves: where they end, when they reach `mean`'s end."""
    header = ["method", "step 0", "end", f"− {BASE}'s end", "reached it", "steps"]
    header += ["FLOPs of SFT", "in all", "time of SFT", "in all"]
    body = []
    for each in board.learning:
        difference = signed(each.difference)
        if each.difference_sd is not None and each.key != BASE:
            difference += f" ± {score(each.difference_sd)}"
        body.append(
            [
                _name(board.row(each.key)),
                score(each.start),
                score(each.end),
                NOTHING if each.key == BASE else difference,
                f"{each.num_reached} of {each.num_seeds}",
                plain(each.steps, 0),
                flops(each.nominal_flops),
                flops(each.nominal_flops_in_all),
                _lasting(each.paced_seconds),
                _lasting(each.paced_seconds_in_all),
            ]
        )
    return header, body


def _lasting(seconds: float | None) -> str:
    """A duration, where it is known."""
    return NOTHING if seconds is None else duration(seconds)


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


def _aligned(header: Sequence[str], count: int) -> list[str]:
    """Names to the left, figures to the right."""
    return ["left", *["right"] * (count - 1)] if header else []


def _ruled(board: Leaderboard, body: list[Cells]) -> list[Cells | str]:
    """`body` with a rule around each run of references."""
    ruled: list[Cells | str] = []
    for place, (row, cells) in enumerate(zip(board.rows, body, strict=True)):
        if place and row.kind != board.rows[place - 1].kind:
            ruled.append(SEPARATING_LINE)
        ruled.append(cells)
    return ruled


def _indented(text: str) -> str:
    """`text` with two spaces before each line."""
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


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
    header, body = score_table(board)
    parts = [title(board)]
    if not board.evidence:
        parts.append(NO_EVIDENCE)
    align = _aligned(header, len(header))
    grid = tabulate(_ruled(board, body), header, "simple", disable_numparse=True, colalign=align)
    parts += ["", _indented(grid), ""]
    parts += [_wrapped(sentence) for sentence in verdicts(board)]
    for header, body in (rows_table(board), learning_table(board)):
        if body:
            align = _aligned(header, len(header))
            grid = tabulate(body, header, "simple", disable_numparse=True, colalign=align)
            parts += ["", _indented(grid)]
    parts += ["", *(_wrapped(note) for note in [*footnotes(board), *_table_notes(board)])]
    return "\n".join(parts) + "\n"


def _markdown(board: Leaderboard) -> str:
    """The board as GitHub-flavoured Markdown."""
    parts = _markdown_head(board)
    for header, body in (score_table(board), rows_table(board), learning_table(board)):
        if body:
            parts += [_markdown_table(header, body), ""]
    parts += [f"- {sentence}" for sentence in verdicts(board)]
    parts += ["", *(f"<sub>{note}</sub>  " for note in [*footnotes(board), *_table_notes(board)])]
    return "\n".join(parts) + "\n"


def _brief(board: Leaderboard) -> str:
    """Scores alone as Markdown, and in words the differences that are shown."""
    parts = [*_markdown_head(board), _markdown_table(*score_table(board)), ""]
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


def _markdown_table(header: Cells, body: list[Cells]) -> str:
    """A table in GitHub's flavour."""
    align = _aligned(header, len(header))
    return tabulate(body, header, "github", disable_numparse=True, colalign=align)


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "→": r"$\to$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "–": r"--",
    "·": r"$\cdot$",
    "<": r"$<$",
}


def latex_text(text: str) -> str:
    """`text` with everything LaTeX would read as markup written out."""
    return "".join(_LATEX.get(character, character) for character in text)


def _latex(board: Leaderboard) -> str:
    """The board as a LaTeX table (package booktabs), references after a rule."""
    header, body = score_table(board)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}"]
    lines += [r"\toprule", " & ".join(map(latex_text, header)) + r" \\", r"\midrule"]
    for place, (row, cells) in enumerate(zip(board.rows, body, strict=True)):
        if place and row.kind != board.rows[place - 1].kind:
            lines.append(r"\midrule")
        lines.append(" & ".join(map(latex_text, cells)) + r" \\")
    notes = [title(board) + ".", *verdicts(board), *footnotes(board)]
    if not board.evidence:
        notes.insert(1, NO_EVIDENCE)
    caption = latex_text(" ".join(notes))
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}"]
    return "\n".join(lines) + "\n"
