"""What the longer commands do: plan, run, table, diagnose."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import COMMITTED_RESULTS, find_setting
from benchmarks.mixture import check_for_cells
from benchmarks.plan import PlannedCell, estimate, past_seconds, plan_cells
from benchmarks.preparing import Say
from benchmarks.reporting import boards, relative
from benchmarks.runner import (
    Failure,
    check_results_writable,
    check_states,
    default_workers,
    run_cells,
    write_references,
)
from benchmarks.stages import StageClock
from leaderboard.numbers import duration
from leaderboard.setting import SettingFile
from leaderboard.tables import render

GIB = 1 << 30


class CommandError(ValueError):
    """A request that cannot be met; the message says what to ask instead."""


def parse_seeds(text: str | None, file: SettingFile) -> list[int]:
    """The seeds that `text` names, as "0,1,2"; the setting's own where it is null."""
    if text is None:
        return list(file.setting.seeds)
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise CommandError(f"seeds must be whole numbers as in 0,1,2; found {text!r}") from None
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise CommandError(f"seeds must be different and not negative; found {text!r}")
    return seeds


def check_workers(workers: int | None, device: str) -> int:
    """The number of workers to use."""
    if workers is None:
        return default_workers(device)
    if workers < 1:
        raise CommandError(f"--workers must be at least 1, found {workers}")
    return workers


def resolve_device(device: str) -> str:
    """The kind of device, cpu or cuda, for what was asked."""
    from benchmarks.worker import choose_device

    return str(choose_device(device).type)


def _planned(
    file: SettingFile, methods: str, seeds: str | None, results: Path, *, plain: bool = False
) -> list[PlannedCell]:
    from baselines.registry import select_methods
    from benchmarks.method_tables import check_method_tables

    check_method_tables(file)
    chosen = select_methods(methods)
    return plan_cells(file, chosen, parse_seeds(seeds, file), results, plain=plain)


def plan_lines(
    setting: str,
    methods: str,
    seeds: str | None,
    workers: int | None,
    device: str,
    results: Path,
    *,
    offline: bool,
) -> list[str]:
    """The cells with their states, and what the missing ones will cost here."""
    from benchmarks.backbones import backbone_card, load_backbone
    from benchmarks.inputs import load_inputs

    file = find_setting(setting)
    cells = _planned(file, methods, seeds, results)
    kind = resolve_device(device)
    side_by_side = check_workers(workers, kind)
    lines = [f"{file.setting.name}: {len(cells)} cells"]
    words = {
        "done": "done",
        "missing": "to run",
        "other": "another hash lies there (--replace)",
        "damaged": "damaged: unreadable, changed or without a sidecar (--replace)",
    }
    lines += [f"  {cell.label:<24} {words[cell.state]}" for cell in cells]
    todo = [cell for cell in cells if cell.state != "done"]
    inputs = load_inputs(file.setting, offline=offline)
    check_for_cells(file.setting, inputs, todo)
    parameters = backbone_card(file.setting.backbone.name).parameters
    if parameters is None:
        model = load_backbone(file.setting.backbone.name, offline=offline).model
        parameters = sum(parameter.numel() for parameter in model.parameters())
    past = [results, COMMITTED_RESULTS]
    each = estimate(file.setting, inputs, kind, past, parameters)
    rounds = -(-len(todo) // side_by_side)
    lines += [
        f"a cell    about {duration(each.seconds)} ({each.basis})",
        f"all       about {duration(each.seconds * rounds)} with {side_by_side} workers on {kind}",
        f"memory    about {each.memory_bytes * side_by_side / GIB:.1f} GiB in all",
        f"disk      about {each.disk_bytes * len(todo) / 1e6:.0f} MB of records",
    ]
    return lines


def run_setting(
    setting: str,
    methods: str,
    seeds: str | None,
    workers: int | None,
    device: str,
    results: Path,
    *,
    offline: bool,
    plain: bool,
    replace: bool,
    debug: bool,
    say: Say,
) -> int:
    """Runs what is missing and prints the board; returns the exit code."""
    if plain and results.resolve() == COMMITTED_RESULTS.resolve():
        raise CommandError(
            f"{relative(results)} holds the committed board, which takes no records made with"
            " --plain; leave --results out, and they go to results-plain"
        )
    file = find_setting(setting)
    cells = _planned(file, methods, seeds, results, plain=plain)
    todo = check_states(cells, replace=replace)
    check_results_writable(results)
    if todo:
        kind = resolve_device(device)
        side_by_side = min(check_workers(workers, kind), len(todo))
        failures = _run_missing(
            file,
            todo,
            results,
            side_by_side,
            kind,
            offline=offline,
            plain=plain,
            debug=debug,
            say=say,
        )
    else:
        failures = []
    shown, notes, refused = boards([results], "ndcg@10", file.setting.name)
    for board in shown:
        say("\n" + render(board, "terminal").rstrip())
    for line in [*notes, *refused]:
        say(line)
    for failure in failures:
        say(f"failed: {failure.cell.label}: {failure.message}")
    if failures:
        say("the other cells are kept; the same command runs the failed ones again")
    return 1 if failures or refused else 0


def _run_missing(
    file: SettingFile,
    todo: Sequence[PlannedCell],
    results: Path,
    workers: int,
    device: str,
    *,
    offline: bool,
    plain: bool,
    debug: bool,
    say: Say,
) -> list[Failure]:
    from benchmarks.backbones import prepare_backbone
    from benchmarks.inputs import load_inputs

    clock = StageClock("data")
    inputs = load_inputs(file.setting, offline=offline, enter=clock.enter)
    check_for_cells(file.setting, inputs, todo)
    clock.enter("backbone")
    prepare_backbone(file.setting.backbone.name, offline=offline)
    clock.enter("references")
    write_references(file.setting, inputs, results)
    once = clock.close()
    say(
        f"{file.setting.name}: {len(todo)} cells to run, {workers} at a time on {device}; records"
        f" go to {relative(results)}" + (" (plain forms: slow)" if plain else "")
    )
    # Plain cells take longer than those on record: no estimate before the first is done.
    prior = None if plain else past_seconds(file.setting, [results, COMMITTED_RESULTS], device)
    return run_cells(
        todo,
        results,
        workers=workers,
        device=device,
        offline=offline,
        plain=plain,
        debug=debug,
        prior=prior,
        after_seed=lambda: _board_text(file, results),
        once=once,
    )


def _board_text(file: SettingFile, results: Path) -> str:
    """The board as it stands, for the terminal; a line where it cannot be made."""
    shown, _, refused = boards([results], "ndcg@10", file.setting.name)
    return "\n" + "\n".join([*(render(board, "terminal") for board in shown), *refused])
