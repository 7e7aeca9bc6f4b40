"""What `gti-bench tune` does: runs the missing trials, prints what they say, writes the rates."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cell.identity import method_card, parameters_of
from benchmarks.inputs.catalogue import find_setting, setting_path
from benchmarks.machine.events import Say
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.machine.stages import StageClock
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import past_seconds
from benchmarks.run.run import prepare_inputs
from benchmarks.run.runner import check_results_writable, check_states, run_cells, tidy
from benchmarks.run.stopping import Stop, StopError
from benchmarks.tune.method_tables import Rates, with_rates
from benchmarks.tune.report import grounding_lines, sft_lines
from benchmarks.tune.rule import (
    SftRates,
    plan_grounding,
    plan_sft,
    read_tried,
    sft_rates,
    tuned_methods,
    tunes_grounding,
    tuning_of,
)
from benchmarks.tune.trial import PlannedTrial
from gti.method import Method
from leaderboard.records.canonical import write_atomically
from leaderboard.records.record import RecordError, find_records, read_record
from leaderboard.records.setting import Setting, SettingFile
from leaderboard.render.boards import relative

TERMINATED = 143
"""Exit code of what SIGTERM ended, as shells have it."""

Tables = dict[str, dict[str, float]]


class StageError(RuntimeError):
    """Trials of a stage failed, so that what follows from it is not known."""


@dataclass(frozen=True)
class Found:
    """The rates that the trials found.

    Attributes:
        grounding: for all methods; null where none was tried.
        sft: the shared one.
        own: method → an SFT rate of its own.
    """

    grounding: float | None
    sft: float
    own: dict[str, float]


def tune_setting(setting: str, methods: str, options: RunOptions, *, write: bool, say: Say) -> int:
    """Runs the missing trials and prints (and writes) what they say; returns the exit code."""
    from baselines.registry import select_methods

    file = find_setting(setting)
    tuning_of(file.setting)
    chosen = select_methods(methods)
    tuned = tuned_methods(file.setting, chosen)
    for method in chosen:
        if method not in tuned:
            say(f"{method.key} has the rates of {method.parent}: no trials")
    try:
        with Stop() as stop:
            found = _find(file, tuned, options, stop, say)
    except StopError:
        say(
            "ended by SIGTERM; trials that have ended are kept, and the same command goes on with"
            " the others"
        )
        return TERMINATED
    except StageError:
        say("the other trials are kept; the same command runs the failed ones again")
        return 1
    if found is None:
        return 1
    if write:
        for line in write_rates(setting, found, tuned, [options.results, COMMITTED_RESULTS]):
            say(line)
    else:
        say("\n--write puts the rates into the setting's file.")
    return 0


def _find(
    file: SettingFile, tuned: Sequence[Method], options: RunOptions, stop: Stop, say: Say
) -> Found | None:
    """Both stages; null where every rate of one diverged."""
    setting, results, grounding = file.setting, options.results, None
    tuning = tuning_of(setting)
    if tuning.grounding_rates is not None and tunes_grounding(setting, tuned):
        plan = plan_grounding(setting, results)
        _run(setting, plan, options, stop, say)
        (first,) = read_tried(tuning.grounding_rates, plan_grounding(setting, results))
        for line in grounding_lines(setting, first):
            say(line)
        if first.best is None:
            say("every grounding rate diverged: lower tuning.grounding_rates")
            return None
        grounding = first.rates[first.best - 1]
    _run(setting, plan_sft(setting, tuned, grounding, results), options, stop, say)
    tried = read_tried(tuning.sft_rates, plan_sft(setting, tuned, grounding, results))
    rates = sft_rates(tried, results)
    for line in sft_lines(setting, tried, rates):
        say(line)
    if rates.shared is None:
        say("every SFT rate diverged for some method: lower tuning.sft_rates")
        return None
    return Found(grounding, tuning.sft_rates[rates.shared - 1], own_rates(setting, rates))


def own_rates(setting: Setting, rates: SftRates) -> dict[str, float]:
    """Method → the SFT rate that it gets for itself."""
    if setting.sft.rates == "shared":
        return {}
    return {own.key: own.rate for own in rates.own if own.clear}


def _run(
    setting: Setting, trials: Sequence[PlannedTrial], options: RunOptions, stop: Stop, say: Say
) -> None:
    """Runs what is missing of `trials`, as `gti-bench run` runs its cells.

    Raises:
        StageError: one failed; `say` was told why.
        StopError: SIGTERM came.
    """
    todo = check_states(trials, replace=options.replace)
    check_results_writable(options.results)
    tidy(trials)
    if not todo:
        return
    options = options.resolved()
    side_by_side = min(options.num_workers, len(todo))
    say(
        f"{setting.name}: {len(todo)} of {len(trials)} trials to run, {side_by_side} at a time on"
        f" {options.device}; they go to {relative(options.results / 'tuning' / setting.name)}"
    )
    prepare_inputs(setting, todo, None, StageClock("data"), offline=options.offline)
    known = [options.results, COMMITTED_RESULTS]
    prior = past_seconds(setting, known, options.device)
    failures = run_cells(todo, options, prior=prior, stop=stop, shared=True).failures
    if stop.due:
        raise StopError
    for failure in failures:
        say(f"failed: {failure.cell.label}: {failure.message}")
    if failures:
        raise StageError


def write_rates(
    name: str, found: Found, tuned: Sequence[Method], results: Sequence[Path]
) -> list[str]:
    """Writes the rates into the setting's file; the diff and the records gone stale as lines."""
    path, file = setting_path(name), find_setting(name)
    before = path.read_text(encoding="utf-8-sig")
    rates: Rates = {"sft": found.sft}
    if found.grounding is not None:
        rates = {**rates, "grounding": found.grounding}
    tables: Tables = {}
    for method in tuned:
        kept = file.parameters(method.key).model_dump(exclude_none=True)
        kept.pop("sft_learning_rate", None)
        if found.grounding is not None:
            kept.pop("grounding_learning_rate", None)
        own = {"sft_learning_rate": found.own[method.key]} if method.key in found.own else {}
        tables[method.key] = {**own, **kept}
    after = with_rates(before, rates, tables, str(path))
    if after == before:
        return [f"\n{path} holds these values already"]
    write_atomically(path, after.encode())
    names = (str(path), str(path), "before", "after")
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    lines = ["", *diff, "", f"written to {path}"]
    new = find_setting(name)
    if new.setting.hash != file.setting.hash:
        lines.append(f"setting hash {file.setting.hash[:8]} → {new.setting.hash[:8]}")
    stale = stale_records(new, results)
    if stale:
        lines.append(
            f"{len(stale)} records are of other rates and no longer belong to the setting;"
            " `gti-bench run --replace` runs them anew:"
        )
        lines += [f"  {relative(record)}" for record in stale]
    return lines


def stale_records(file: SettingFile, results: Sequence[Path]) -> list[Path]:
    """Records of the setting's name that are of another setting or of other rates than now."""
    from baselines.registry import methods

    known, found = methods(), []
    for folder in dict.fromkeys(path.resolve() for path in results):
        for path in find_records(folder, file.setting.name):
            try:
                record = read_record(path)
            except RecordError:
                continue  # `verify` reports it, and no board takes it
            method = known.get(record.method.key)
            now = method and method_card(method, parameters_of(file, method)).parameters
            other = now is not None and record.method.parameters != now
            if other or record.setting_hash != file.setting.hash:
                found.append(path)
    return found
