"""What `export` does: verified records written in the formats of others."""

import time
from pathlib import Path

from benchmarks.cli.reporting import ReportError, check_not_among_records, failing_files
from benchmarks.inputs.catalogue import find_setting
from leaderboard.exchange.export import Asked, Format, check_empty, export
from leaderboard.records.cells import load_cells
from leaderboard.render.boards import relative


def export_lines(
    form: Format,
    setting: str | None,
    results: Path,
    out: Path,
    *,
    organization: str | None,
    dataset: str | None,
    metric: str,
) -> tuple[list[str], list[str]]:
    """Exports the records of `results`, of one setting or of all: what was written, and what not.

    Args:
        form: the format.
        setting: its name, or the path of a .toml file; null: all.
        results: a results directory.
        out: a folder that is empty, or not there.
        organization: who provides the data.
        dataset: the benchmark's dataset on the Hub.
        metric: whose value the Hub gets.
    """
    asked = Asked(form, organization, dataset, metric, int(time.time()))
    check_not_among_records(out, results, "exports")
    check_empty(out)
    name = find_setting(setting).setting.name if setting and setting.endswith(".toml") else setting
    cells, notes = load_cells([results], name)
    if not cells and not notes:
        of = f" of setting {name!r}" if name else ""
        raise ReportError(f"no records{of} under {results}; --results DIR looks elsewhere")
    failing = failing_files(results / name if name else results) if cells else set()
    written, left_out = export(cells, failing, asked, out)
    plural = "" if len(written) == 1 else "s"
    told = f"{len(written)} record{plural} exported as {form} into {relative(out)}"
    references = sum(cell.record.kind == "reference" for cell in cells)
    if form == "hf_eval_results" and references:
        told += f"; {references} references are no models and have no place on the Hub"
    return [told], [*notes, *left_out]
