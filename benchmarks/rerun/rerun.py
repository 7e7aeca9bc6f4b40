"""Runs recorded cells again, from the record alone and its hashed inputs, and compares.

The setting, the method's own parameters and the seed are the record's, whatever today's setting
files say; the Semantic IDs are the artefact under `<results>/inputs/` that the record names. What
it finds is appended beside the record (`leaderboard.records.reproductions`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cell.job import Job
from benchmarks.machine.environment import changed_files, describe_code, plain_environment
from benchmarks.machine.events import Say
from benchmarks.rerun.lines import context_lines, verdict_line
from benchmarks.rerun.subjects import RerunError, Subject, load_subjects
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell
from benchmarks.run.runner import run_cells
from benchmarks.run.write_references import write_reference
from gti.prompts.wordings import wordings_sha256
from leaderboard.board.user_scores import read_scores
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.cells import Cell, load_cell
from leaderboard.records.parts import Code, Environment
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import (
    SCHEMA_VERSION,
    RecordError,
    ranks_path,
    read_record,
    record_path,
)
from leaderboard.records.reproductions import (
    LONGEST_NAME,
    REPRODUCTION_SCHEMA_VERSION,
    Reproduction,
    Scores,
    SeedSpread,
    append_reproduction,
)
from leaderboard.statistics.agreement import (
    Spread,
    compare,
    outcome_of,
    ranks_sha256,
    rows_sha256,
    spread_of,
)
from leaderboard.verify.origin import Origin, context, origin_of


@dataclass(frozen=True)
class RerunCell(PlannedCell):
    """A cell that takes the Semantic IDs from a file; null: as any run finds them."""

    semantic_ids: Path | None

    @property
    def label(self) -> str:
        """What people call it; several settings may run at once."""
        return f"{self.setting.name}/{super().label}"

    def job(self, options: RunOptions) -> Job:
        """What a worker is asked to do."""
        stored = None if self.semantic_ids is None else self.semantic_ids.resolve()
        return super().job(options).model_copy(update={"semantic_ids": stored})


def rerun(
    records: Sequence[Path],
    options: RunOptions,
    *,
    results: Path | None,
    by: str | None,
    as_json: bool,
    say: Say,
) -> int:
    """Runs the cells of `records` again and compares; 0: all reproduced, 1: not all.

    Args:
        records: their files.
        options: where the new records go, on which device ("recorded": each on its record's kind),
            and how.
        results: where inputs and other seeds lie; null: where the record does.
        by: who ran it, for the line beside the record.
        as_json: print the new lines instead of sentences.
        say: prints a line.

    Raises:
        RerunError: a record, input or directory that cannot be used, before anything runs.
    """
    if not records:
        raise RerunError("name a record: RESULTS/SETTING/METHOD/seed-N.json")
    if by is not None and not 0 < len(by) <= LONGEST_NAME:
        raise RerunError(f"--by takes 1 to {LONGEST_NAME} characters, found {len(by)}")
    # As JSON, standard output holds the lines alone.
    tell: Say = (lambda text: None) if as_json else say
    subjects = load_subjects(records, results, offline=options.offline)
    for subject in subjects:
        tell(subject.label)
        for line in context_lines(_context_before(subject, _device(subject, options))):
            tell(line)
    failures = _run(subjects, options)
    found = [
        _judge(subject, options.results, by) for subject in subjects if subject not in failures
    ]
    for subject, reproduction in found:
        append_reproduction(subject.cell.path, reproduction)
        tell(verdict_line(subject.label, reproduction))
    if as_json:
        lines = [
            {"path": str(subject.cell.path), **reproduction.model_dump(mode="json")}
            for subject, reproduction in found
        ]
        say(json.dumps(lines, indent=2, ensure_ascii=False))
    bad = [each for _, each in found if each.outcome not in ("exact", "equivalent")]
    return 1 if failures or bad else 0


def _device(subject: Subject, options: RunOptions) -> str:
    """The device asked for, or the kind that the record names."""
    recorded = options.device == "recorded"
    return subject.record.environment.device if recorded else options.device


def _context_before(subject: Subject, device: str) -> tuple[str, ...]:
    """What is known to differ before the run; threads are the worker's and not known yet."""
    record = subject.record
    if record.kind == "reference":
        environment = plain_environment()
    else:
        from benchmarks.machine.environment import describe_environment
        from gti.model.devices import choose_device, computed_dtype

        chosen = choose_device(device)
        dtype, _ = computed_dtype(chosen, record.setting.backbone.dtype)
        environment = describe_environment(chosen, dtype, deterministic=True)
        environment["threads"] = record.environment.threads
    here = Origin(
        Code.model_validate(describe_code()),
        Environment.model_validate(environment),
        subject.card.version,
        SCHEMA_VERSION,
    )
    lines = context(origin_of(record), here, changed_files(record.code.commit))
    if record.inputs.prompts not in (None, wordings_sha256()):
        lines = (*lines, "the prompts' wordings are other than recorded: it cannot be exact")
    return lines


def _run(subjects: Sequence[Subject], options: RunOptions) -> list[Subject]:
    """Runs the cells; returns those that failed, which are told as they fail."""
    planned: dict[str, list[RerunCell]] = {}
    for subject in subjects:
        record, setting = subject.record, subject.record.setting
        if record.kind == "reference":
            key, offline = record.method.key, options.offline
            write_reference(key, setting, subject.inputs, options.results, offline=offline)
            continue
        from benchmarks.inputs.backbones import prepare_backbone

        prepare_backbone(setting.backbone.name, offline=options.offline)
        path = subject.path_in(options.results)
        path.unlink(missing_ok=True)  # an earlier run's, where the folder was kept
        cell = RerunCell(setting, subject.card, record.seed, path, "missing", subject.semantic_ids)
        planned.setdefault(_device(subject, options), []).append(cell)
    failed: set[Path] = set()
    for device, cells in planned.items():
        failures = run_cells(cells, replace(options, device=device).resolved()).failures
        failed |= {failure.cell.path for failure in failures}
    return [subject for subject in subjects if subject.path_in(options.results) in failed]


def _judge(subject: Subject, scratch: Path, by: str | None) -> tuple[Subject, Reproduction]:
    """Compares the run in `scratch` with the record."""
    record, path = subject.record, subject.path_in(scratch)
    again, ranks_again = read_record(path), read_ranks(ranks_path(path))
    agreement = compare(record, again, read_ranks(ranks_path(subject.cell.path)), ranks_again)
    lines = context(origin_of(record), origin_of(again), changed_files(record.code.commit))
    scores = Scores(
        metric=MAIN_METRIC,
        recorded=record.metrics["test"].get(MAIN_METRIC),
        again=again.metrics["test"].get(MAIN_METRIC),
    )
    inexact_cell = record.kind == "cell" and not agreement.exact
    spread = _spread(subject, Cell(path, again)) if inexact_cell else None
    outcome = outcome_of(
        agreement,
        scores.recorded,
        scores.again,
        spread,
        excused=bool(lines) and record.kind == "cell",
    )
    return subject, Reproduction(
        schema_version=REPRODUCTION_SCHEMA_VERSION,
        record=record.digest,
        who=by,
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        outcome=outcome,
        differing=agreement.differing,
        context=lines,
        scores=scores,
        spread=None if spread is None else SeedSpread.model_validate(asdict(spread)),
        num_rows=agreement.num_rows,
        same_rows=agreement.same_rows,
        ranks_sha256=ranks_sha256(ranks_again),
        new_rows_sha256=rows_sha256(again),
        environment=again.environment,
        code=again.code,
        seconds=sum(cost.seconds for cost in again.cost.values()),
    )


def _spread(subject: Subject, again: Cell) -> Spread | None:
    """Where one more seed of the method would lie, by the seeds in the results."""
    record = subject.record
    folder = record_path(subject.results, record.setting.name, record.method.key, 0).parent
    cells = [subject.cell]
    for path in sorted(folder.glob("seed-*.json")):
        if path.name == subject.cell.path.name:
            continue
        try:
            cell = load_cell(path)
        except RecordError:
            continue  # `verify` names it; a spread does without
        same = (record.setting_hash, record.method_hash)
        if (cell.record.setting_hash, cell.record.method_hash) == same:
            cells.append(cell)
    scores, new = read_scores(cells, MAIN_METRIC), read_scores([again], MAIN_METRIC)
    if scores is None or new is None or scores.users.tolist() != new.users.tolist():
        return None
    key = record.method.key
    seeds = sorted(scores.values[key])
    (values,) = new.matrix(key, [record.seed])
    return spread_of(scores.matrix(key, seeds), seeds, record.seed, values)
