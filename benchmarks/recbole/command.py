"""What `gti-bench references` does: makes the missing trained references, prints the board."""

from dataclasses import replace
from pathlib import Path

from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import ReadData
from benchmarks.machine.events import Say
from benchmarks.recbole.exchange import RecBole, RecBoleError, find_recbole
from benchmarks.recbole.models import MODELS
from benchmarks.recbole.rows import PlannedRow, make_row, plan_rows
from benchmarks.run.options import CommandError, RunOptions
from benchmarks.run.run import parse_seeds
from benchmarks.run.runner import RunError, check_results_writable
from benchmarks.run.write_references import write_references
from benchmarks.titles.card import KEY as TITLES
from gti.hints import did_you_mean
from leaderboard.records.record import read_record
from leaderboard.records.setting import Setting, SettingFile
from leaderboard.render.board_tables import render
from leaderboard.render.boards import boards, relative
from leaderboard.render.numbers import duration, score


def parse_models(text: str) -> list[str]:
    """The models that `text` names, comma-separated.

    Raises:
        CommandError: an unknown one, or one twice.
    """
    names = [name.strip() for name in text.split(",")]
    known = [*MODELS, TITLES]
    for name in names:
        if name not in known:
            raise CommandError(
                f"unknown reference {name!r}{did_you_mean(name, known)};"
                f" there are RecBole's {', '.join(MODELS)}, and {TITLES}"
            )
    if len(set(names)) < len(names):
        raise CommandError(f"a reference is named twice in {text!r}")
    return names


def choose_device(asked: str, recbole: RecBole) -> str:
    """The kind of device, cpu or cuda.

    Raises:
        RecBoleError: a GPU was asked for, and RecBole's torch sees none.
    """
    if asked == "cuda" and not recbole.cuda:
        raise RecBoleError(f"--device cuda, but the torch of {recbole.python} sees no GPU")
    return "cuda" if asked != "cpu" and recbole.cuda else "cpu"


def check_track(setting: Setting, names: list[str]) -> None:
    """Refuses the retrieval track for models of RecBole.

    Raises:
        CommandError: it asks queries, which these models cannot read.
    """
    if setting.queries is not None and names != [TITLES]:
        raise CommandError(
            f"setting {setting.name} asks text queries; RecBole's references predict next items;"
            f" --models {TITLES} is the one that reads queries"
        )


def missing_rows(rows: list[PlannedRow], *, replace: bool) -> list[PlannedRow]:
    """The rows to make; a record of another hash in a row's place is refused unless `replace`.

    Raises:
        RunError: names the first such record.
    """
    for row in rows:
        if row.state in ("other", "damaged") and not replace:
            raise RunError(
                f"{row.path} holds another row than this one's, or cannot be read; --replace makes"
                " it anew, --results DIR writes elsewhere"
            )
    return [row for row in rows if row.state != "done"]


def run_references(
    setting: str,
    models: str,
    seeds: str | None,
    options: RunOptions,
    *,
    python: Path | None,
    threads: int,
    say: Say,
) -> int:
    """Makes the missing rows one after another and prints the board; returns the exit code."""
    if threads < 1:
        raise CommandError(f"--threads must be at least 1, found {threads}")
    file, results = find_setting(setting), options.results
    names = parse_models(models)
    check_track(file.setting, names)
    rows = plan_rows(file.setting, names, parse_seeds(seeds, file), results)
    todo = missing_rows(rows, replace=options.replace)
    check_results_writable(results)
    failed = []
    if todo:
        recbole = None
        if any(row.name != TITLES for row in todo):
            recbole = find_recbole(python)
        failed = _make(file, todo, recbole, options, threads, say)
    shown, notes, refused = boards([results], "ndcg@10", file.setting.name)
    for board in shown:
        say("\n" + render(board, "terminal").rstrip())
    for line in [*notes, *refused, *failed]:
        say(line)
    return 1 if failed or refused else 0


def _make(
    file: SettingFile,
    todo: list[PlannedRow],
    recbole: RecBole | None,
    options: RunOptions,
    threads: int,
    say: Say,
) -> list[str]:
    """Makes the rows `todo`; a line for each that failed. `recbole`: null where none is its."""
    from benchmarks.inputs.inputs import load_data

    inputs, results = load_data(file.setting, offline=options.offline), options.results
    # The floor of every board: Pop must be beside popularity, and the marks need it.
    write_references(file.setting, inputs, results, say)
    rows, place = f"{len(todo)} reference rows to make", relative(results)
    say(f"{file.setting.name}: {rows}; records go to {place}")
    if recbole is not None:
        options = replace(options, device=choose_device(options.device, recbole))
        versions = ", ".join(f"{name} {found}" for name, found in recbole.packages.items())
        many = f"{threads} thread{'' if threads == 1 else 's'}"
        say(f"RecBole on {options.device}, {many} ({versions})")
    failed = []
    for row in todo:
        try:
            path = _make_row(file.setting, inputs, row, recbole, options, threads, say)
        except Exception as error:  # one that fails leaves the others
            if options.debug:
                raise
            failed.append(f"failed: {row.card.key} seed {row.seed}: {error}")
            continue
        record = read_record(path)
        took = sum(cost.seconds for cost in record.cost.values())
        figures = "  ".join(
            f"{name} {score(record.metrics['test'].get(name))}" for name in ("ndcg@10", "recall@10")
        )
        say(f"{row.card.key:<20} seed {row.seed}  {figures}  {duration(took)}")
        for warning in record.warnings:
            say(f"  warning: {warning}")
    return failed


def _make_row(
    setting: Setting,
    inputs: ReadData,
    row: PlannedRow,
    recbole: RecBole | None,
    options: RunOptions,
    threads: int,
    say: Say,
) -> Path:
    """Makes `row`; returns its record's path."""
    if row.name == TITLES:
        from benchmarks.titles.reference import write_titles
        from gti.model.devices import choose_device as device_of

        device = device_of(options.device)
        asked = (setting, row.seed, inputs, options.results, device, say)
        return write_titles(*asked, offline=options.offline)
    assert recbole is not None  # it was found before any row of its
    return make_row(setting, inputs, row, recbole, options, threads=threads, say=say)
