"""What a table is written as: lines for a terminal, Markdown, LaTeX; and data as CSV and JSON."""

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any, Literal

from tabulate import SEPARATING_LINE, tabulate

from leaderboard.render.table import REFERENCE, Column, Line, Table

LATEX = {
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


def terminal(table: Table, place: str = "") -> str:
    """Aligned lines that begin with `place`, references between rules."""
    return indent(_grid(table, "simple", [SEPARATING_LINE]), place)


def markdown(table: Table, flavour: Literal["github", "pipe"] = "github") -> str:
    """A table of Markdown."""
    return _grid(table, flavour, [])


def latex(table: Table, caption: str) -> str:
    """A table of LaTeX (package booktabs), references between rules."""
    align = "".join("r" if _to_the_right(column) else "l" for column in table.columns)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{align}}}", r"\toprule"]
    lines += [_latex_line([column.name for column in table.columns]), r"\midrule"]
    lines += _ruled(
        table, [_latex_line(_texts(table, line)) for line in table.lines], [r"\midrule"]
    )
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{latex_text(caption)}}}"]
    return "\n".join([*lines, r"\end{table}"])


def latex_text(text: str) -> str:
    """`text` with everything LaTeX would read as markup written out."""
    return "".join(LATEX.get(character, character) for character in text)


def csv_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """CSV of `lines` (column → value): their columns as they first come, empty where undefined."""
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def json_text(content: Any) -> str:
    """`content` as indented JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def _to_the_right(column: Column) -> bool:
    return column.kind in ("figures", "letters")


def _texts(table: Table, line: Line) -> list[str]:
    """What `line` says, column by column."""
    return [line.entries[column.key].text for column in table.columns]


def _grid(table: Table, form: str, rule: list[Any]) -> str:
    """The table as tabulate writes it in `form`."""
    align = ["right" if _to_the_right(column) else "left" for column in table.columns]
    return tabulate(
        _ruled(table, [_texts(table, line) for line in table.lines], rule),
        [column.name for column in table.columns],
        form,
        disable_numparse=True,
        colalign=align if table.lines else None,
    )


def _latex_line(texts: Sequence[str]) -> str:
    return " & ".join(map(latex_text, texts)) + r" \\"


def _ruled(table: Table, written: Sequence[Any], rule: Sequence[Any]) -> list[Any]:
    """The `written` lines of the table with a `rule` around each run of references."""
    pairs = zip(table.lines, written, strict=True)
    runs = itertools.groupby(pairs, key=lambda pair: pair[0].group == REFERENCE)
    ruled: list[Any] = []
    for _, run in runs:
        ruled += [*(rule if ruled else []), *(text for _, text in run)]
    return ruled
