"""What `gti-bench tune` does: runs the missing trials, prints what they say, writes the rates."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cell.identity import AXES, method_card
from benchmarks.inputs.catalogue import find_setting, setting_path
from benchmarks.machine.events import Say
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell, cell_state, past_seconds
from benchmarks.run.run import check_for_cells
from benchmarks.run.runner import Failure, check_results_writable, check_states, run_cells
from benchmarks.tune.method_tables import with_method_tables
from benchmarks.tune.report import report_lines, value_of
from benchmarks.tune.rule import Tuned, plan_trials, read_tuned, tuning_of
from leaderboard.records.canonical import write_atomically
from leaderboard.records.record import cell_hash
from leaderboard.records.setting import MethodParameters, Setting, SettingFile
from leaderboard.render.boards import relative

Tables = dict[str, dict[str, float]]


def tune_setting(setting: str, methods: str, options: RunOptions, *, write: bool, say: Say) -> int:
    """Runs the missing trials and prints (and writes) what they say; returns the exit code."""
    from baselines.registry import select_methods

    file, results = find_setting(setting), options.results
    tuning_of(file.setting)
    chosen = select_methods(methods)
    trials = plan_trials(file.setting, chosen, results)
    todo = check_states(trials, replace=options.replace)
    check_results_writable(results)
    failures = []
    if todo:
        options = options.resolved()
        side_by_side = min(options.num_workers, len(todo))
        say(
            f"{file.setting.name}: {len(todo)} of {len(trials)} trials to run, {side_by_side} at a"
            f" time on {options.device}; they go to"
            f" {relative(results / 'tuning' / file.setting.name)}"
        )
        failures = _run(file, todo, options)
    tuned = read_tuned(results, plan_trials(file.setting, chosen, results))
    for line in report_lines(file.setting, tuned):
        say(line)
    best = best_tables(file.setting, tuned)
    if write:
        for line in write_tables(setting, best, [results, COMMITTED_RESULTS]):
            say(line)
    elif best:
        say("\n--write puts the best points into the setting's [method.NAME] tables.")
    for failure in failures:
        say(f"failed: {failure.cell.label}: {failure.message}")
    if failures:
        say("the other trials are kept; the same command runs the failed ones again")
    hopeless = [each.key for each in tuned if each.best is None]
    if hopeless:
        say(f"every trial of {', '.join(hopeless)} diverged: lower the bounds in [tuning]")
    return 1 if failures or hopeless else 0


def _run(file: SettingFile, todo: Sequence[PlannedCell], options: RunOptions) -> list[Failure]:
    """Runs `todo` as `gti-bench run` runs its cells."""
    from benchmarks.inputs.backbones import prepare_backbone
    from benchmarks.inputs.inputs import load_inputs

    check_for_cells(file.setting, load_inputs(file.setting, offline=options.offline), todo)
    prepare_backbone(file.setting.backbone.name, offline=options.offline)
    known = [options.results, COMMITTED_RESULTS]
    return run_cells(todo, options, prior=past_seconds(file.setting, known, options.device))


def best_tables(setting: Setting, tuned: Sequence[Tuned]) -> Tables:
    """Method → the values of its best point that differ from the setting's shared ones."""
    shared = {
        "sft_learning_rate": setting.sft.learning_rate,
        "grounding_learning_rate": setting.grounding.learning_rate,
        "auxiliary_loss_weight": setting.auxiliary.loss_weight,
    }
    return {
        each.key: {
            axis: value
            for axis in AXES
            if (value := value_of(each, axis)) is not None and value != shared[axis]
        }
        for each in tuned
        if each.best is not None
    }


def write_tables(name: str, tables: Tables, results: Sequence[Path]) -> list[str]:
    """Writes `tables` into the setting's file; the diff, new hashes and stale records as lines."""
    from baselines.registry import methods

    if not tables:
        return ["\nnothing to write: no method has a best point"]
    path = setting_path(name)
    file = find_setting(name)
    before = path.read_text(encoding="utf-8")
    after = with_method_tables(before, tables, str(path))
    if after == before:
        return [f"\n{path} holds these values already"]
    write_atomically(path, after.encode())
    diff = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        str(path),
        str(path),
        "before",
        "after",
        lineterm="",
    )
    lines = ["", *diff, "", f"written to {path}"]
    stale: list[Path] = []
    for key, values in tables.items():
        old = method_card(methods()[key], file.parameters(key))
        new = method_card(methods()[key], MethodParameters(**values))
        if old.hash == new.hash:
            continue
        lines.append(f"{key}: method hash {old.hash[:8]} → {new.hash[:8]}")
        stale += _stale(file.setting, key, new.hash, results)
    if stale:
        lines.append(
            f"{len(stale)} records are of the old hashes and no longer belong to the setting;"
            " `gti-bench run --replace` runs them anew:"
        )
        lines += [f"  {relative(record)}" for record in stale]
    return lines


def _stale(setting: Setting, key: str, method_hash: str, results: Sequence[Path]) -> list[Path]:
    """Records of method `key` that are of another hash than it has now."""
    found = []
    for folder in dict.fromkeys(path.resolve() for path in results):
        for record in sorted((folder / setting.name / key).glob("seed-*.json")):
            seed = record.stem.removeprefix("seed-")
            if seed.isdecimal():
                own = cell_hash(setting.hash, method_hash, int(seed))
                if cell_state(record, own) == "other":
                    found.append(record)
    return found
