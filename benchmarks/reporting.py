"""What `table` and `diagnose` print: made from records alone, without torch."""

import os
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from benchmarks.catalogue import COMMITTED_RESULTS, find_setting
from leaderboard.board import Leaderboard, load_leaderboards
from leaderboard.explain import explain as explain_cell
from leaderboard.metrics import parse_metric
from leaderboard.rows import STAGES
from leaderboard.scores import Cell, load_cells
from leaderboard.tables import Format, render

MOST_LEFT_OUT = 3
"""Records left out that are named one by one."""


class ReportError(ValueError):
    """A request for what is not there; the message says how to get it."""


def relative(path: Path) -> str:
    """`path` as seen from the working directory, where it lies below it."""
    path = path.resolve()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def boards(
    folders: Sequence[Path], metric: str, setting: str | None
) -> tuple[list[Leaderboard], list[str], list[str]]:
    """Boards, notes, and what was refused or left out, from the records under `folders`."""
    found = load_leaderboards(folders, metric, setting)
    left_out = [note for note in found.notes if note.startswith("left out")]
    notes = [note for note in found.notes if note not in left_out]
    if len(left_out) > MOST_LEFT_OUT:
        more = len(left_out) - MOST_LEFT_OUT
        left_out = [
            *left_out[:MOST_LEFT_OUT],
            f"left out: {more} more; `gti-bench verify` lists all",
        ]
    return list(found.boards), notes, [*found.refused, *left_out]


def table_lines(
    setting: str | None, metric: str, form: Format, explain: str | None, results: Path
) -> tuple[list[str], list[str]]:
    """The boards of `results` and then the committed ones; and what was refused."""
    parse_metric(metric)  # a misspelt metric is told first, records or not
    own, notes, refused = boards([results], metric, setting)
    committed: list[Leaderboard] = []
    if COMMITTED_RESULTS.resolve() != results.resolve() and form in ("terminal", "md"):
        committed, more, also = boards([COMMITTED_RESULTS], metric, setting)
        notes, refused = notes + more, refused + also
    if not own and not committed and refused:
        raise ReportError("; ".join(refused))
    if not own and not committed:
        where = f" of setting {setting!r}" if setting else ""
        raise ReportError(
            f"no records{where} under {results}; `gti-bench run SETTING` makes some, --results DIR"
            " looks elsewhere"
        )
    if explain is not None:
        first = (own or committed)[0]
        return explain_cell(first, explain), refused
    lines = []
    if committed and own:
        lines.append(f"Your records ({results}):\n")
    lines += [render(board, form).rstrip() + "\n" for board in own]
    if committed:
        lines.append("Committed records (leaderboard/results):\n")
        lines += [render(board, form).rstrip() + "\n" for board in committed]
    return lines + (notes if form in ("terminal", "md") else []), refused


def diagnose_lines(setting: str, results: Path, out: Path | None) -> list[str]:
    """Diagnostics of all stages as a table, and the figures drawn."""
    from leaderboard.figures import draw_all

    name = find_setting(setting).setting.name
    folder = results if (results / name).is_dir() else COMMITTED_RESULTS
    cells, notes = load_cells([folder])
    cells = [
        cell for cell in cells if cell.record.setting.name == name and cell.record.kind == "cell"
    ]
    if not cells:
        raise ReportError(f"no records of {name} under {results}; run it first")
    fields = {
        "eff. rank": "effective_rank",
        "centred": "effective_rank_centred",
        "stable rank": "stable_rank",
        "cosine": "cosine_mean",
        "across levels": "cosine_across_levels",
        "RSA pearson": "rsa_pearson",
        "RSA spearman": "rsa_spearman",
        "text affinity": "text_affinity",
    }
    rows = []
    for cell in cells:
        for stage in STAGES:
            if stage in cell.record.diagnostics:
                numbers = cell.record.diagnostics[stage]
                values = [getattr(numbers, field) for field in fields.values()]
                shown = ["–" if value is None else f"{value:.3f}" for value in values]
                rows.append([cell.record.method.key, cell.record.seed, stage, *shown])
    header = ["method", "seed", "stage", *fields]
    lines = [tabulate(rows, headers=header, disable_numparse=True, stralign="right")]
    lines += _nearest_words(cells)
    target = out or folder / name / "figures"
    drawn = draw_all(cells, target)
    lines.append(f"\n{len(drawn)} figures in {relative(target)}:")
    lines += [f"  {path.name}" for path in drawn]
    return lines + notes


def _nearest_words(cells: Sequence[Cell], shown: int = 5) -> list[str]:
    """The words nearest to the first few codes, after the last stage, first seed of a method."""
    lines = ["", "Nearest words after SFT (lowest seed, first codes):"]
    seen: set[str] = set()
    for cell in cells:
        if cell.record.method.key in seen or "sft" not in cell.record.diagnostics:
            continue
        seen.add(cell.record.method.key)
        words = list(cell.record.diagnostics["sft"].nearest_words.items())[:shown]
        text = "; ".join(f"{code} {', '.join(near)}" for code, near in words)
        lines.append(f"  {cell.record.method.key:<10} {text}")
    return lines
