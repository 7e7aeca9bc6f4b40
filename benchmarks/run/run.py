"""What `gti-bench run` does, and what it shares with other commands: seeds, cells, checks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.feasible import no_main_score
from benchmarks.inputs.inputs import ReadData, load_data, read_if_here
from benchmarks.inputs.mixture import check_setting_mixture
from benchmarks.inputs.semantic_ids import draws_of, load_semantic_ids
from benchmarks.machine.events import Say
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.machine.stages import StageClock
from benchmarks.run.engine import EngineError, Reach, Site
from benchmarks.run.options import CommandError, RunOptions
from benchmarks.run.plan import PlannedCell, longest_first, past_seconds, plan_cells
from benchmarks.run.runner import Outcome, check_results_writable, check_states, run_cells, tidy
from benchmarks.run.same_inputs import (
    check_neighbours,
    has_unpinned,
    known_hashes,
    version_note,
    with_inputs_compared,
)
from benchmarks.run.shard import parse_shard
from benchmarks.run.stopping import Stop, StopError
from benchmarks.run.worker import this_machine
from benchmarks.run.write_references import write_references
from gti.hints import did_you_mean
from leaderboard.records.setting import Setting, SettingError, SettingFile
from leaderboard.render.board_tables import render
from leaderboard.render.boards import boards, relative
from leaderboard.render.numbers import duration

Expect = Callable[[Setting, ReadData, str], float | None]
"""Seconds that a cell of a setting will take on a kind of device; null if unknown."""
MOST_CELLS = 6
"""Cells left that are named."""


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


def planned_cells(
    file: SettingFile, methods: str, seeds: str | None, options: RunOptions
) -> list[PlannedCell]:
    """The cells that a command names, with their states.

    Args:
        file: the setting.
        methods: keys and groups, comma-separated.
        seeds: as for `parse_seeds`.
        options: where records lie, and whether cells are of the slow forms.
    """
    from baselines.registry import select_methods
    from benchmarks.cell.shown_alike import check_shown_alike

    check_method_tables(file)
    check_shown_alike(file.setting)
    chosen = select_methods(methods)
    numbers = parse_seeds(seeds, file)
    return plan_cells(file, chosen, numbers, options.results, plain=options.plain)


def run_setting(
    setting: str,
    methods: str,
    seeds: str | None,
    options: RunOptions,
    say: Say,
    *,
    expect: Expect | None = None,
    reach: Reach = this_machine,
) -> int:
    """Runs what is missing and prints the board; returns the exit code.

    Args:
        setting: name or file.
        methods: keys and groups, comma-separated.
        seeds: as for `parse_seeds`.
        options: where, on what and how.
        say: prints a line.
        expect: asked where the run has a time and no such cell was run on such a machine.
        reach: where cells run.
    """
    results = options.results
    if options.plain and results.resolve() == COMMITTED_RESULTS.resolve():
        raise CommandError(
            f"{relative(results)} holds the committed board, which takes no records made with"
            " --plain; leave --results out, and they go to results-plain"
        )
    file = find_setting(setting)
    cells = planned_cells(file, methods, seeds, options)
    shard = parse_shard(options.shard)
    if shard is not None:
        every, cells = len(cells), shard.of(cells)
        say(f"part {shard.number} of {shard.count}: {len(cells)} of {every} cells")
    null_score = no_main_score(file.setting)
    if null_score is not None:
        say(f"note: {null_score}")
    with Stop(options.stop_after) as stop:
        outcome = _run_until(file, cells, options, stop, expect, reach, say)
        if outcome.left:
            say(_left_line(outcome, options.stop_after, stop))
        elif stop.reason == "signal":
            say("ended by SIGTERM; all cells are done")
        with stop.orderly():
            # Who ends a job does not wait for a board.
            refused = [] if stop.reason == "signal" else _say_board(file, results, say)
    for failure in outcome.failures:
        say(f"failed: {failure.cell.label}: {failure.message}")
    if outcome.failures:
        say("the other cells are kept; the same command runs the failed ones again")
    return 1 if outcome.failures or (outcome.broken and outcome.left) or refused else 0


def _run_until(
    file: SettingFile,
    cells: Sequence[PlannedCell],
    options: RunOptions,
    stop: Stop,
    expect: Expect | None,
    reach: Reach,
    say: Say,
) -> Outcome:
    """Runs those of `cells` that are missing until all are done or `stop` says so."""
    todo = [cell for cell in cells if cell.state != "done"]
    try:
        clock, data = StageClock("data"), None
        if has_unpinned(file.setting, _seeds(cells)):
            data, _ = read_if_here(file.setting, offline=options.offline)
            version = version_note(file.setting, data.dataset) if data else None
            if version is not None:
                say(f"note: {version}")
        todo = _to_run(file, cells, data, options)
        check_results_writable(options.results)
        tidy(cells)
        if not todo:
            return Outcome([], [])
        with reach(options, say) as site:
            options = site.options
            data = prepare_inputs(file.setting, todo, data, clock, offline=options.offline)
            # Once more, now that Semantic IDs that no hash pins have been made.
            todo = _to_run(file, cells, data, options)
            clock.enter("references")
            write_references(file.setting, data, options.results, say, offline=options.offline)
            prior = _expected(file.setting, data, options, expect)
            return _run_missing(file, todo, site, clock.close(), prior, stop, say)
    except StopError:
        return Outcome([], todo)
    except EngineError as error:
        left = [cell for cell in todo if cell.state_now(plain=options.plain) != "done"]
        return Outcome([], left, str(error))


def _expected(
    setting: Setting, data: ReadData, options: RunOptions, expect: Expect | None
) -> float | None:
    """Seconds of a cell, as far as they are known before one has ended."""
    if options.plain:
        return None  # plain cells take longer than those on record
    past = past_seconds(setting, [options.results, COMMITTED_RESULTS], options.device)
    wanted = options.stop_after is not None or options.cluster is not None
    if past is None and wanted and expect is not None:
        return expect(setting, data, options.device)
    return past


def _left_line(outcome: Outcome, after: float | None, stop: Stop) -> str:
    """What is left, and why."""
    time, left = "" if after is None else duration(after), outcome.left
    why = outcome.broken or {"time": f"stopped after {time}", "signal": "ended by SIGTERM"}.get(
        stop.reason or "", f"no other cell can start and end within {time}"
    )
    named = ", ".join(cell.label for cell in left[:MOST_CELLS])
    more = f" and {len(left) - MOST_CELLS} more" if len(left) > MOST_CELLS else ""
    return f"{why}; {len(left)} cells left: {named}{more}; the same command goes on with them"


def _say_board(file: SettingFile, results: Path, say: Say) -> list[str]:
    """Prints the board; returns what was refused on it."""
    shown, notes, refused = boards([results], "ndcg@10", file.setting.name)
    for board in shown:
        say("\n" + render(board, "terminal").rstrip())
    for line in [*notes, *refused]:
        say(line)
    return list(refused)


def _to_run(
    file: SettingFile,
    cells: Sequence[PlannedCell],
    data: ReadData | None,
    options: RunOptions,
) -> list[PlannedCell]:
    """The cells to run; none beside records of other inputs, where these are not pinned."""
    if data is None or not has_unpinned(file.setting, _seeds(cells)):
        return check_states(cells, replace=options.replace)
    here = known_hashes(file.setting, data)
    cells = with_inputs_compared(cells, here)
    todo = check_states(cells, replace=options.replace)
    if todo:
        check_neighbours(file.setting, cells, here, options.results)
    return todo


def _seeds(cells: Sequence[PlannedCell]) -> list[int]:
    """The seeds of `cells`, each once."""
    return list(dict.fromkeys(cell.seed for cell in cells))


def prepare_inputs(
    setting: Setting,
    todo: Sequence[PlannedCell],
    data: ReadData | None,
    clock: StageClock,
    *,
    offline: bool,
) -> ReadData:
    """All that the cells `todo` read, made where it is not there yet, so that workers find it."""
    from benchmarks.inputs.backbones import prepare_backbone

    data = data or load_data(setting, offline=offline)
    check_for_cells(setting, data, todo)
    for seeds in draws_of(setting, _seeds(todo)).values():
        load_semantic_ids(setting, data.dataset, seeds[0], offline=offline, enter=clock.enter)
    clock.enter("backbone")
    prepare_backbone(setting.backbone.name, offline=offline)
    return data


def _run_missing(
    file: SettingFile,
    todo: Sequence[PlannedCell],
    site: Site,
    once: Mapping[str, float],
    prior: float | None,
    stop: Stop,
    say: Say,
) -> Outcome:
    """Runs `todo`.

    Args:
        file: the setting.
        todo: what to run.
        site: where.
        once: how long what was done for all of them took.
        prior: expected seconds of a cell; null if unknown.
        stop: what ends the run early.
        say: prints a line.
    """
    options, engine = site.options, site.engine(file.setting, todo, prior)
    results, device = options.results, options.device
    side_by_side = min(engine.places, len(todo))
    say(
        f"{file.setting.name}: {len(todo)} cells to run, {side_by_side} at a time on {device};"
        f" records go to {relative(results)}" + (" (plain forms: slow)" if options.plain else "")
    )
    return run_cells(
        # Alone they keep the order of the plan, in which the reference comes first.
        longest_first(todo) if side_by_side > 1 else todo,
        options,
        prior=prior,
        after_seed=lambda: _board_text(file, results),
        once=once,
        stop=stop,
        shared=True,
        engine=engine,
    )


def _board_text(file: SettingFile, results: Path) -> str:
    """The board as it stands, for the terminal; a line where it cannot be made."""
    shown, _, refused = boards([results], "ndcg@10", file.setting.name)
    return "\n" + "\n".join([*(render(board, "terminal") for board in shown), *refused])


def check_for_cells(setting: Setting, inputs: ReadData, cells: Sequence[PlannedCell]) -> None:
    """Checks the setting's mixture of alignment tasks, where any of `cells` has such tasks."""
    if any("beside" in cell.card.spends for cell in cells):
        check_setting_mixture(setting, inputs)


def check_method_tables(file: SettingFile) -> None:
    """Refuses a table of no method, and a value that its method has no use for.

    Raises:
        SettingError: names the table, and the nearest method or what may be set.
    """
    from baselines.registry import methods
    from benchmarks.cell.identity import axes_of

    known = methods()
    for name, parameters in file.methods.items():
        where = f"setting {file.setting.name}: table [method.{name}]"
        if name not in known:
            hint = did_you_mean(name, known) or ";"
            raise SettingError(
                f"{where}: there is no such method{hint} `gti-bench list methods` shows all"
            )
        axes = axes_of(known[name])
        for axis in parameters.model_fields_set:
            if axis not in axes:
                raise SettingError(
                    f"{where}: {name} has no {axis}; what it has of its own: {', '.join(axes)}"
                )
