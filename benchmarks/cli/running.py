"""The commands that run cells, or say what that would cost."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from benchmarks.cli.types import (
    RESULTS,
    RESULTS_PLAIN,
    AcceptLicence,
    AsJson,
    Debug,
    Device,
    Methods,
    Offline,
    Replace,
    Results,
    Seeds,
    SettingName,
    Workers,
    say,
)
from benchmarks.run.options import CommandError, OnCluster, RunOptions


def plan(
    setting: SettingName,
    *,
    methods: Methods = "core",
    seeds: Seeds = None,
    workers: int | None = None,
    device: Device = "auto",
    results: Results = RESULTS,
    offline: Offline = False,
    on: Annotated[
        str | None,
        Parameter(help="Machines that are not here, as 8xh100,64xcpu: what it takes on them."),
    ] = None,
) -> int:
    """Show the cells of a run, which are done, and what the rest will cost; run nothing."""
    from benchmarks.estimate.plan import plan_lines

    options = RunOptions(results=results, workers=workers, device=device, offline=offline)
    for line in plan_lines(setting, methods, seeds, options, on):
        say(line)
    return 0


def run(
    setting: SettingName,
    *,
    methods: Methods = "core",
    seeds: Seeds = None,
    workers: Workers = None,
    device: Device = "auto",
    results: Annotated[
        Path | None, Parameter(help="Where records go; default: results, or results-plain.")
    ] = None,
    offline: Offline = False,
    plain: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Run the slow reference everywhere, to check the fast forms against it. Such"
            " records say so, go to results-plain, and never stand on a board with others.",
        ),
    ] = False,
    replace: Replace = False,
    stop_after: Annotated[
        str | None,
        Parameter(
            help="Such as 90s, 50m or 2h: start no cell that will not end by then by its estimate,"
            " then end, and say what is left. SIGTERM ends a run in the same way."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        Parameter(
            help="One part of the cells, as 2/4; in a task of an array slurm, or slurm/4 where its"
            " number is that of the part: for machines that share no results directory."
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], Parameter(help="Cells as processes here, or on a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        Parameter(
            help="Of the Ray cluster, as HOST:PORT; default: auto, the one that $RAY_ADDRESS names,"
            " or that runs here."
        ),
    ] = None,
    gpus_per_cell: Annotated[
        float | None,
        Parameter(help="On a Ray cluster: share of a GPU that a cell takes; default: 1."),
    ] = None,
    shared: Annotated[
        Path | None,
        Parameter(
            help="On a Ray cluster: a folder that all nodes see, where checkpoints outlive a node."
        ),
    ] = None,
    accept_licence: AcceptLicence = None,
    debug: Debug = False,
) -> int:
    """Run the missing cells of a setting, seed by seed, and print the board.

    Runs on one results directory, on this machine or on others, share the cells.
    """
    from benchmarks.estimate.plan import cell_seconds
    from benchmarks.inputs.terms import accept
    from benchmarks.run.run import run_setting
    from benchmarks.run.stopping import parse_duration

    if accept_licence is not None:
        accept(accept_licence, say)

    asked = {"address": address, "gpus_per_cell": gpus_per_cell, "shared": shared}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if given and engine != "ray":
        name = next(iter(given)).replace("_", "-")
        raise CommandError(f"--{name} is for Ray clusters alone; add --engine ray, or leave it out")
    options = RunOptions(
        results=results or (RESULTS_PLAIN if plain else RESULTS),
        workers=workers,
        device=device,
        offline=offline,
        plain=plain,
        replace=replace,
        debug=debug,
        stop_after=None if stop_after is None else parse_duration(stop_after),
        shard=shard,
        cluster=OnCluster(**given) if engine == "ray" else None,
    )
    where: dict[str, Any] = {}
    if engine == "ray":
        from benchmarks.cluster.engine import ray_cluster

        where = {"reach": ray_cluster}
    return run_setting(setting, methods, seeds, options, say, expect=cell_seconds, **where)


def tune(
    setting: SettingName,
    *,
    methods: Methods = "core",
    workers: Annotated[int | None, Parameter(help="Trials side by side; default: cores.")] = None,
    device: Device = "auto",
    results: Results = RESULTS,
    offline: Offline = False,
    replace: Replace = False,
    write: Annotated[
        bool, Parameter(negative=(), help="Put the rates into the setting's file.")
    ] = False,
    debug: Debug = False,
) -> int:
    """Find a setting's rates by one rule: the same trials for all methods, validation only."""
    from benchmarks.tune.command import tune_setting

    options = RunOptions(
        results=results,
        workers=workers,
        device=device,
        offline=offline,
        replace=replace,
        debug=debug,
    )
    return tune_setting(setting, methods, options, write=write, say=say)


def references(
    setting: SettingName,
    *,
    models: Annotated[
        str,
        Parameter(
            help="Comma-separated: RecBole's pop, itemknn, gru4rec and sasrec; titles, the backbone"
            " without new tokens, which takes as long as a cell."
        ),
    ] = "pop,itemknn,gru4rec,sasrec",
    seeds: Annotated[str, Parameter(help="As 0,1,2.")] = "0",
    recbole_python: Annotated[
        Path | None, Parameter(help="Of RecBole's environment; default: $GTI_BENCH_RECBOLE_PYTHON.")
    ] = None,
    threads: Annotated[
        int, Parameter(help="Of RecBole's; more can end sooner, figures may differ.")
    ] = 1,
    device: Device = "auto",
    results: Results = RESULTS,
    offline: Offline = False,
    replace: Annotated[
        bool, Parameter(negative=(), help="Make anew what lies there with another hash.")
    ] = False,
) -> int:
    """Make trained references of a setting: RecBole's (tox -e recbole brings it), or titles."""
    from benchmarks.recbole.command import run_references

    options = RunOptions(results=results, device=device, offline=offline, replace=replace)
    return run_references(
        setting, models, seeds, options, python=recbole_python, threads=threads, say=say
    )


def rerun(
    *records: Annotated[Path, Parameter(help="Record files, RESULTS/SETTING/METHOD/seed-N.json.")],
    results: Annotated[
        Path | None, Parameter(help="Where inputs and other seeds lie; default: the record's.")
    ] = None,
    workers: Workers = None,
    device: Annotated[Device | None, Parameter(help="Default: the record's.")] = None,
    by: Annotated[str | None, Parameter(help="Who runs it, for the line beside the record.")] = (
        None
    ),
    keep: Annotated[
        Path | None, Parameter(help="Keep the new records in this results directory.")
    ] = None,
    offline: Offline = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Run recorded cells again, from the records alone, and say whether they are the same."""
    from benchmarks.rerun.rerun import rerun as rerun_records

    with nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory() as folder:
        options = RunOptions(
            results=Path(folder),
            workers=workers,
            device=device or "recorded",
            offline=offline,
            debug=debug,
        )
        return rerun_records(records, options, results=results, by=by, as_json=as_json, say=say)
