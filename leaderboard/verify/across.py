"""Checks across records: seeds differ, and the cells of a setting have what they share alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard.records.known_methods import first_rows_of
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import MethodCard, Record
from leaderboard.records.setting import Setting
from leaderboard.records.shipped import CHECKED, Shipped
from leaderboard.verify.copies import Fingerprint, find_copies, fingerprint_of
from leaderboard.verify.findings import Finding, Report
from leaderboard.verify.plausible import last_position
from leaderboard.verify.said import Said
from leaderboard.verify.targets import TargetsHash
from leaderboard.verify.training import track_task
from leaderboard.verify.treatment import shuffled

INPUTS = ("dataset", "backbone", "tokenizer", "prompts", "queries")
"""What all cells of a setting read alike, beside the Semantic IDs."""


@dataclass(frozen=True)
class Statement:
    """The fields of one record that are compared with other records of its setting.

    Args:
        path: its file.
        is_cell: not a reference.
        setting: its setting.
        setting_hash: the setting's.
        seed: its seed.
        method: its method's card.
        method_hash: the method's.
        targets: `TargetsHash`; empty where the ranks cannot be read.
        num_items: of a cell, how many there are.
        last_position: the last that a target may stand on; 0 where none is ranked.
        semantic_ids: of a cell, the sha256 of those it read.
        inputs: of a language model, what else it read: name → sha256.
        shared: of a language model, (field, what it may depend on beside the setting) → value.
        fingerprint: of a cell, what no other has.
    """

    path: Path
    is_cell: bool
    setting: Setting
    setting_hash: str
    seed: int
    method: MethodCard
    method_hash: str
    targets: str
    num_items: int | None
    last_position: int
    semantic_ids: str | None
    inputs: dict[str, str | None]
    shared: dict[tuple[Any, ...], Any]
    fingerprint: Fingerprint

    @property
    def name(self) -> str:
        """Its setting's name."""
        return self.setting.name


def statement_of(
    path: Path, record: Record, ranks: Ranks | None, targets: TargetsHash, draw: int
) -> Statement:
    """Extracts from `record` what checks across records need; the rest is dropped.

    Args:
        path: its file.
        record: the record.
        ranks: its rows; null where they cannot be read.
        targets: keeps what records of a setting have in common.
        draw: seed of the rows that are compared, the same for all records.
    """
    is_cell = record.kind == "cell"
    rows = targets.rows(ranks, draw) if is_cell and ranks is not None else None
    ranked = ranks is not None and bool(ranks.in_beam.any())
    return Statement(
        path=path,
        is_cell=is_cell,
        setting=record.setting,
        setting_hash=record.setting_hash,
        seed=record.seed,
        method=record.method,
        method_hash=record.method_hash,
        targets="" if ranks is None else targets.of(ranks),
        num_items=None if record.accounting is None else record.accounting.num_items,
        last_position=last_position(ranks) if ranks is not None and ranked else 0,
        semantic_ids=record.inputs.semantic_ids,
        inputs={name: getattr(record.inputs, name) for name in INPUTS} if record.has_model else {},
        shared=_shared(record) if is_cell else _shared_by_names(record),
        fingerprint=fingerprint_of(record, rows),
    )


def compare_records(checked: Sequence[Statement], findings: list[Finding]) -> None:
    """Checks across records: one setting of a name, and within it what cells share, or do not."""
    _compare_settings(checked, findings)
    said = Said()
    items: dict[str, Statement] = {}
    for statement in checked:
        if statement.num_items is not None:
            items.setdefault(statement.setting_hash, statement)
        _note_method(said, statement)
        if statement.targets:
            place = (statement.setting_hash,)
            targets = f"users and targets of hash {statement.targets[:12]}"
            said.note(statement.path, "files.ranks (targets)", place, targets)
    for statement in checked:
        for name, value in statement.inputs.items():
            said.note(statement.path, f"inputs.{name}", (statement.setting_hash,), value)
        for (field, hangs_on), value in statement.shared.items():
            said.note(statement.path, field, (statement.setting_hash, hangs_on), value)
    said.compare(findings)
    cells = [statement for statement in checked if statement.is_cell]
    _check_positions([statement for statement in checked if not statement.is_cell], items, findings)
    find_copies([(each.path, each.setting_hash, each.fingerprint) for each in cells], findings)


def _note_method(said: Said, statement: Statement) -> None:
    """Notes what the record says of its method."""
    place = (statement.setting_hash, statement.method.key)
    within = "(within the setting)"
    said.note(statement.path, f"method_hash {within}", place, statement.method_hash)
    if (facts := statement.method.facts) is not None:
        for name in CHECKED:
            field = f"method.facts.{name} {within}"
            said.note(statement.path, field, place, getattr(facts, name))


def _compare_settings(checked: Sequence[Statement], findings: list[Finding]) -> None:
    """A setting's name stands for one setting: the one that most records of it are of."""
    by_name: dict[str, Counter[str]] = {}
    for statement in checked:
        by_name.setdefault(statement.name, Counter())[statement.setting_hash] += 1
    usual = {name: hashes.most_common(1)[0][0] for name, hashes in by_name.items()}
    for statement in checked:
        if statement.setting_hash != usual[statement.name]:
            other = next(
                each.path
                for each in checked
                if (each.name, each.setting_hash) == (statement.name, usual[statement.name])
            )
            wanted = (
                f"{usual[statement.name]}, as in {other}: one setting of a name in one results"
                " directory; run it again, or give the other setting a name of its own"
            )
            report = Report(str(statement.path), findings)
            report.error("setting_hash (within the name)", statement.setting_hash, wanted)


def _check_positions(
    references: Sequence[Statement], items: Mapping[str, Statement], findings: list[Finding]
) -> None:
    """No reference puts a target behind more items than the setting's cells say there are."""
    for statement in references:
        cell = items.get(statement.setting_hash)
        most = None if cell is None else cell.num_items
        if cell is not None and most is not None and statement.last_position > most:
            found = f"a target at position {statement.last_position}"
            wanted = f"at most {most} (accounting.num_items of {cell.path})"
            Report(str(statement.path), findings).error("files.ranks (num_better)", found, wanted)


def compare_with_shipped(
    checked: Sequence[Statement], shipped: Shipped, findings: list[Finding]
) -> None:
    """Tells of records whose setting or method has a shipped name, but is not as shipped."""
    for statement in checked:
        report = Report(str(statement.path), findings)
        for each in shipped.differences(
            statement.setting, statement.method, statement.seed, statement.semantic_ids
        ):
            tell = report.error if each.weight == "error" else report.warn
            tell(each.field, each.found, each.wanted)


MANIFEST = ("first_token_id", "rows_before", "rows_after", "num_text_rows", "tied")
"""What all manifests of a setting say alike, since they tell of one backbone."""


COUNTED = "num_items (accounting, names)"
"""The items that all language models of a setting tell apart."""


SEEDLESS = ("mean", "words")
"""First rows that are alike at every seed, whichever method starts with them."""


def _shared(record: Record) -> dict[tuple[Any, ...], Any]:
    """(field, what it may depend on beside the setting) → value that other cells must have."""
    shared: dict[tuple[Any, ...], Any] = {}
    drawn = record.seed if record.setting.semantic_ids.seed == "cell" else None
    shared["inputs.semantic_ids", drawn] = record.inputs.semantic_ids
    if record.accounting is not None:
        shared[COUNTED, None] = record.accounting.num_items
    if record.manifest is not None:
        for name in (*MANIFEST, "text_rows_sha256_before", "text_norm_mean"):
            shared[f"manifest.{name}", None] = getattr(record.manifest, name)
        start = first_rows_of(record.method)
        if start in SEEDLESS:
            items = record.inputs.semantic_ids if start == "words" else None
            place = (start, items, *_arithmetic(record))
            shared["manifest.new_rows_sha256_after", place] = record.manifest.new_rows_sha256_after
    for seed, pin in (record.setting.semantic_ids.draws or {}).items():
        shared[f"setting.semantic_ids.draws.{seed}", None] = pin
    if record.retention is not None:
        for name in ("pages", "characters"):
            shared[f"retention.{name}", None] = getattr(record.retention, name)
        place = (record.environment.dtype, *_arithmetic(record))
        shared["retention.before", place] = record.retention.before
    if record.treatment is not None and (mixed := shuffled(record.treatment)) is not None:
        shared["treatment.pairs.*.shown", record.method_hash] = f"{'other' if mixed else 'own'} IDs"
    for index, proof in enumerate(record.proofs):
        if proof.stage == "sft":
            field = f"proofs.{index}.trainable_parameters"
            shared[field.replace(str(index), "*"), None] = proof.trainable_parameters
    if record.budget is not None:
        shared["budget.sft_flops", record.seed] = record.budget.sft_flops
        shared["budget.extra_flops", record.seed] = record.budget.extra_flops
    if "after" not in record.method.spends:  # which trains on more of R
        task = track_task(record)
        shared[f"tasks.{task}", None] = record.tasks.get(task)
    return shared


def _shared_by_names(record: Record) -> dict[tuple[Any, ...], Any]:
    """What a reference that names items in words shares with the setting's cells; else nothing."""
    if record.names is None:
        return {}
    task = track_task(record)
    return {
        (COUNTED, None): record.names.num_items,
        (f"tasks.{task}", None): record.tasks.get(task),
    }


def _arithmetic(record: Record) -> tuple[str | None, ...]:
    """What rounds sums of rows: they are added as the machine and torch do."""
    environment = record.environment
    torch = environment.packages.get("torch")
    return environment.device, environment.instruction_set, environment.bfloat16, torch
