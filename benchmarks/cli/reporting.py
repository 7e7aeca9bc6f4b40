"""What `table`, `site` and `diagnose` print: made from records alone, without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmarks.cli.shipped import shipped
from benchmarks.cli.types import RESULTS
from benchmarks.inputs.catalogue import find_setting
from benchmarks.machine.places import COMMITTED_RESULTS
from leaderboard.board.board import Leaderboard, mark_same_names, with_verified
from leaderboard.board.compare import Verdict, compare
from leaderboard.board.method_rows import STAGES
from leaderboard.board.user_scores import NOT_SCORED
from leaderboard.claims.against_ours import against_ours
from leaderboard.claims.claims import load_claims
from leaderboard.claims.statements import load_judged
from leaderboard.metrics.metrics import parse_metric
from leaderboard.metrics.slices import check_slice_name
from leaderboard.records.cells import Cell, load_cells
from leaderboard.records.diagnostics import DiagnosticsError, read_words
from leaderboard.records.processes import cores
from leaderboard.records.record import diagnostics_path, find_records
from leaderboard.render.board_tables import Format, render
from leaderboard.render.boards import boards, relative
from leaderboard.render.claims import claims_json, claims_lines
from leaderboard.render.comparison import comparison_json, comparison_lines
from leaderboard.render.explain import explain as explain_cell
from leaderboard.render.table import Column, Table
from leaderboard.render.writers import terminal
from leaderboard.verify.verify import verify

VERDICT_CODES: dict[Verdict, int] = {
    "not shown": 0,
    "no verdict": 0,
    "a better": 10,
    "b better": 11,
}
"""Exit codes of `compare`."""

READ_BY_PEOPLE: tuple[Format, ...] = ("terminal", "md", "brief")
"""Forms of `table` that hold several boards and notes."""


class ReportError(ValueError):
    """A request for what is not there; the message says how to get it."""


def _verified(shown: list[Leaderboard], folder: Path) -> list[Leaderboard]:
    """`shown`, whose records lie under `folder`, with what `verify` says of them now."""
    if not shown:
        return []
    failing = failing_files(folder)
    return [with_verified(board, failing) for board in shown]


def failing_files(folder: Path) -> set[str]:
    """The files under `folder` in which `verify` finds errors now."""
    return {
        finding.file for finding in verify(folder, cores(), shipped()) if finding.level == "error"
    }


def table_lines(
    setting: str | None,
    metric: str,
    form: Format,
    explain: str | None,
    results: Path,
    slice_name: str | None = None,
    *,
    verify_too: bool = False,
) -> tuple[list[str], list[str]]:
    """The boards of `results` and then the committed ones; and what was refused."""
    parse_metric(metric)  # a misspelt metric or slice is told first, records or not
    if slice_name is not None:
        check_slice_name(slice_name)
    own, notes, refused = boards([results], metric, setting, slice_name)
    empty = [] if own or refused or results == RESULTS else [_nothing_under(results, setting)]
    committed: list[Leaderboard] = []
    if COMMITTED_RESULTS.resolve() != results.resolve() and form in READ_BY_PEOPLE:
        committed, more, also = boards([COMMITTED_RESULTS], metric, setting, slice_name)
        notes, refused = notes + more, refused + also
    if verify_too:
        own, committed = _verified(own, results), _verified(committed, COMMITTED_RESULTS)
    refused = _told_once(refused, metric)
    if not own and not committed and refused:
        raise ReportError("; ".join(refused))
    if not own and not committed:
        raise ReportError(
            f"{_nothing_under(results, setting)}; `gti-bench run SETTING` makes some, --results DIR"
            " looks elsewhere"
        )
    if explain is not None:
        first = (own or committed)[0]
        return explain_cell(first, explain), [*empty, *refused]
    together = mark_same_names([*own, *committed])
    own, committed = together[: len(own)], together[len(own) :]
    lines = []
    if committed and own:
        lines.append(f"Your records ({results}):\n")
    elif committed and (empty or refused):
        lines.append(f"Your records ({results}): no board.\n")
    lines += [render(board, form).rstrip() + "\n" for board in own]
    if committed:
        lines.append("Committed records (leaderboard/results):\n")
        lines += [render(board, form).rstrip() + "\n" for board in committed]
    return lines + (notes if form in READ_BY_PEOPLE else []), [*empty, *refused]


def _told_once(refused: Sequence[str], metric: str) -> list[str]:
    """`refused` without repetition; that several settings are not scored at `metric` is one line.

    A line of such a setting is `setting NAME`, `NOT_SCORED`, and what its metrics are.
    """
    lines = list(dict.fromkeys(refused))
    cut = [(line, *line.partition(NOT_SCORED.format(metric))) for line in lines]
    names: dict[str, list[str]] = {}
    for _, head, mark, metrics in cut:
        if mark:
            names.setdefault(metrics, []).append(head.removeprefix("setting "))
    others = [line for line, _, mark, _ in cut if not mark]
    if len(lines) - len(others) < 2:
        return lines
    told = "; ".join(f"{metrics} ({', '.join(keys)})" for metrics, keys in names.items())
    return [
        f"{len(lines) - len(others)} settings are not scored at {metric}; their metrics are {told}",
        *others,
    ]


def _nothing_under(results: Path, setting: str | None) -> str:
    """That a directory asked for has no records."""
    what = "no records" if results.is_dir() else "no results directory, so no records"
    return f"{what}{f' of setting {setting!r}' if setting else ''} under {results}"


def compare_lines(
    a: str, b: str, setting: str, metric: str, results: Path, *, as_json: bool
) -> tuple[list[str], int]:
    """What `compare` prints, and its exit code.

    Records under `results` are taken alone where both sides are there, else with the committed.
    """
    parse_metric(metric)
    name = find_setting(setting).setting.name if setting.endswith(".toml") else setting
    sources = [[results], [results, COMMITTED_RESULTS]]
    found, left_out = compare(sources, name, a, b, metric)
    code = VERDICT_CODES[found.verdict]
    if as_json:
        return [comparison_json(found, left_out)], code
    return comparison_lines(found) + left_out, code


def contrasts_report(
    setting: str, metric: str | None, results: Path, form: Literal["text", "md", "brief", "json"]
) -> list[str]:
    """What `contrasts` prints, by the records of `results`, else those and the committed."""
    from leaderboard.board.contrasts import load_contrasts
    from leaderboard.render.contrasts import contrast_lines, contrasts_json

    if metric is not None:
        parse_metric(metric)
    name = find_setting(setting).setting.name if setting.endswith(".toml") else setting
    found, left_out = load_contrasts([[results], [results, COMMITTED_RESULTS]], name, metric)
    if form == "json":
        return [contrasts_json(found)]
    return [*contrast_lines(found, form), *left_out]


def claims_report(source: str | None, results: Path, *, as_json: bool) -> list[str]:
    """What `claims` prints: reported numbers beside the records of `results` and the committed."""
    tables = load_claims()
    if source is not None:
        known = ", ".join(table.key for table in tables)
        tables = [table for table in tables if table.key == source]
        if not tables:
            raise ReportError(f"unknown source of claims {source!r}; there are {known}")
    compared, left_out = against_ours([results, COMMITTED_RESULTS], tables)
    judged = load_judged([results, COMMITTED_RESULTS]) if source is None else []
    if as_json:
        return [claims_json(compared, left_out, judged)]
    return claims_lines(compared, left_out, judged)


def site_lines(
    results: Sequence[Path], out: Path, *, verify_too: bool
) -> tuple[list[str], list[str]]:
    """Builds the leaderboard's pages in `out`: what was built, and what was refused or left out.

    Args:
        results: results directories; none: `results`, or the committed records where it has none.
        out: where the pages go.
        verify_too: verify the records first.
    """
    from leaderboard.site.build import build_site

    folders = list(results) or [RESULTS if any(find_records(RESULTS)) else COMMITTED_RESULTS]
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise ReportError(f"no results directory {', '.join(missing)}")
    failing = {file for folder in folders for file in failing_files(folder)} if verify_too else None
    built = build_site(folders, out, failing, processes=cores())
    index = relative(out / "index.html")
    plural = "" if built.num_boards == 1 else "s"
    told = (
        f"{built.num_boards} board{plural} of {built.num_records} records, {built.num_files} files"
    )
    return [f"{told}: open {index}"], list(built.problems)


def diagnose_lines(setting: str, results: Path, out: Path | None) -> list[str]:
    """Diagnostics of all stages as a table, and the figures drawn.

    Args:
        setting: whose records.
        results: where they lie; the committed ones where it has none of the setting.
        out: where the figures go; null: figures/SETTING, where one works.
    """
    from leaderboard.figures.diagnose import draw_all

    name = find_setting(setting).setting.name
    target = out or Path("figures") / name
    check_not_among_records(target, results)
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
        "RSA level 1": "rsa_level_1",
        "text affinity": "text_affinity",
    }
    rows = []
    for cell in cells:
        for stage in STAGES:
            if stage in cell.record.diagnostics:
                numbers = cell.record.diagnostics[stage]
                values = [getattr(numbers, field) for field in fields.values()]
                shown = ["–" if value is None else f"{value:.3f}" for value in values]
                rows.append([cell.record.method.key, str(cell.record.seed), stage, *shown])
    columns = [Column(name, name) for name in ("method", "seed", "stage", *fields)]
    lines = [terminal(Table.of_texts(columns, rows))]
    lines += _nearest_words(cells)
    drawn, problems = draw_all(cells, target)
    lines.append(f"\n{len(drawn)} figures in {relative(target)}:")
    lines += [f"  {path.name}" for path in drawn]
    return [*lines, *(f"not drawn: {line}" for line in problems), *notes]


def check_not_among_records(out: Path, results: Path, what: str = "figures") -> None:
    """Refuses a folder for `what` that lies where records are."""
    for folder in (results, COMMITTED_RESULTS):
        if out.resolve().is_relative_to(folder.resolve()):
            raise ReportError(
                f"{out} lies in {folder}, where records are: {what} do not go there; choose"
                " another folder with --out"
            )


def _nearest_words(cells: Sequence[Cell], shown: int = 5) -> list[str]:
    """The words nearest to the first few codes, after the last stage, first seed of a method."""
    lines = ["", "Nearest words after SFT (lowest seed, first codes):"]
    seen: set[str] = set()
    for cell in cells:
        if cell.record.method.key in seen or "sft" not in cell.record.diagnostics:
            continue
        seen.add(cell.record.method.key)
        try:
            words = read_words(diagnostics_path(cell.path), "sft")
        except DiagnosticsError as error:
            lines.append(f"  {cell.record.method.key:<10} not read: {error}")
            continue
        text = "; ".join(f"{code} {', '.join(words[code])}" for code in list(words)[:shown])
        lines.append(f"  {cell.record.method.key:<10} {text}")
    return lines


def summary_lines(
    setting: str | None,
    metric: str | None,
    form: Literal["terminal", "md", "csv", "json"],
    results: Path,
) -> tuple[list[str], list[str]]:
    """What `summary` prints of the records of `results`, else the committed; what was refused."""
    from leaderboard.board.over_boards import load_on_boards
    from leaderboard.render.over_boards import over_boards_text

    if metric is not None:
        parse_metric(metric)
    found, refused = load_on_boards([results], metric, setting)
    if not found and not refused:
        found, refused = load_on_boards([COMMITTED_RESULTS], metric, setting)
    if not found:
        raise ReportError(
            "; ".join(refused)
            or f"{_nothing_under(results, setting)}; `gti-bench run SETTING` makes some,"
            " --results DIR looks elsewhere"
        )
    return [over_boards_text(found, form).rstrip()], refused


def structure_report(
    setting: str | None, metric: str, results: Path, out: Path, *, as_json: bool
) -> list[str]:
    """Whether rows' structure goes with scores, by the records of `results`, else the committed."""
    from leaderboard.board.structure import associations, points_of
    from leaderboard.figures.structure import draw_structure
    from leaderboard.render.structure import no_cells, structure_json, structure_lines

    parse_metric(metric)
    check_not_among_records(out, results)
    cells, notes = load_cells([results], setting)
    if not cells:
        cells, notes = load_cells([COMMITTED_RESULTS], setting)
    points = points_of(cells, metric)
    if not len(points.scores):
        raise ReportError(
            f"{no_cells(metric, setting, f' under {results}')}; `gti-bench run SETTING` makes some,"
            " --results DIR looks elsewhere"
        )
    found = associations(points)
    drawn = draw_structure(points, found, out)
    if as_json:
        return [structure_json(points, found)]
    shown = [f"figure: {relative(path)}" for path in drawn]
    return [*structure_lines(points, found), *shown, *notes]
