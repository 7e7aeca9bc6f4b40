"""The facts of a card: a setting, a dataset or a method as its records state them."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.records.cells import Cell
from leaderboard.records.diagnostics import DiagnosticsError, read_words
from leaderboard.records.record import MethodCard, Record, diagnostics_path
from leaderboard.render.numbers import NOTHING

Fields = list[tuple[str, str]]

MOST_WORDS = 8
"""Codes whose nearest words are shown."""


@dataclass(frozen=True)
class Section:
    """Fields under one heading."""

    name: str
    facts: Fields


def text_of(value: Any) -> str:
    """A field's value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text_of, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {text_of(each)}" for key, each in value.items()) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting_sections(cells: Sequence[Cell]) -> list[Section]:
    """Everything the setting fixes, table by table, and what the records say of it."""
    record = cells[0].record
    content = record.setting.model_dump(mode="json", exclude_none=True)
    top = [(key, text_of(value)) for key, value in content.items() if not isinstance(value, dict)]
    sections = [Section("setting", [("hash", record.setting_hash), *top])]
    for name, table in content.items():
        if isinstance(table, dict):
            sections.append(Section(name, [(key, text_of(each)) for key, each in table.items()]))
    users = [(f"{split} {record.setting.asks}", f"{n:,}") for split, n in record.num_users.items()]
    sections.append(Section("scored", users))
    sections += _accounting(cells)
    sections.append(Section("ran on", _machines(cells)))
    return sections


def _accounting(cells: Sequence[Cell]) -> list[Section]:
    """What the Semantic IDs and the beam allow, by the first cell that says so."""
    for cell in cells:
        found = cell.record.accounting
        if found is not None:
            facts = [
                ("items", f"{found.num_items:,}"),
                ("distinct Semantic IDs", f"{found.distinct_sids:,}"),
                ("collision rate", f"{found.collision_rate:.4f}"),
                ("codes used per level", f"{text_of(found.used_codes)} of {found.num_codes}"),
                ("beam", str(found.beam)),
            ]
            return [Section("Semantic IDs in use", facts)]
    return []


def _machines(cells: Sequence[Cell]) -> Fields:
    """Kinds of machine, with the number of records from each."""
    counts: dict[str, int] = {}
    for cell in cells:
        where = cell.record.environment
        name = f"{where.processor}, {where.instruction_set or where.machine}, {where.device}"
        counts[name] = counts.get(name, 0) + 1
    return [(name, f"{n} record{'' if n == 1 else 's'}") for name, n in sorted(counts.items())]


def dataset_facts(record: Record) -> Fields:
    """The dataset as the setting of `record` cuts it."""
    content = record.setting.dataset.model_dump(mode="json", exclude_none=True)
    facts = [(key, text_of(value)) for key, value in content.items() if key != "sha256"]
    facts.append(("content hash of what was read", record.inputs.dataset))
    facts += [(f"{split} {record.setting.asks}", f"{n:,}") for split, n in record.num_users.items()]
    if record.accounting is not None:
        facts.append(("items", f"{record.accounting.num_items:,}"))
    return facts


def method_facts(record: Record) -> Fields:
    """The method as it was in the setting of `record`."""
    card = record.method
    spends = ", ".join(f"{text_of(share)} {when} SFT" for when, share in card.spends.items())
    own = {
        **card.parameters.model_dump(mode="json", exclude_none=True),
        **(card.settings or {}),
    }
    facts = [
        ("group", card.group),
        ("version", str(card.version)),
        ("shares of the extra budget (nominal FLOPs)", spends or "none"),
        ("own parameters", text_of(own) if own else "none: the setting's shared values"),
        ("method hash", record.method_hash),
        ("examples per task", text_of(record.tasks) if record.tasks else NOTHING),
    ]
    if record.manifest is not None:
        facts.append(("initializer", record.manifest.initializer))
        facts.append(("trained text rows", _moved_text(record)))
    return facts


def _moved_text(record: Record) -> str:
    """Which stages moved text rows, by their proofs."""
    parts = [f"{proof.stage}: {proof.text_rows_changed:,} changed" for proof in record.proofs]
    return "; ".join(parts) or NOTHING


_ADDRESS = re.compile(r"https?://[^\s,;)\]]+|arXiv[ :]?\d{4}\.\d{4,5}")


def source_parts(text: str) -> list[tuple[str, str | None]]:
    """`text` cut into pieces with the address each leads to: web addresses and arXiv numbers."""
    parts: list[tuple[str, str | None]] = []
    end = 0
    for match in _ADDRESS.finditer(text):
        found = match.group()
        number = re.search(r"\d{4}\.\d{4,5}", found)
        address = found if found.startswith("http") else ""
        if not address and number is not None:
            address = f"https://arxiv.org/abs/{number.group()}"
        parts += [(text[end : match.start()], None), (found.rstrip("."), address.rstrip("."))]
        end = match.start() + len(found.rstrip("."))
    return [part for part in [*parts, (text[end:], None)] if part[0]]


@dataclass(frozen=True)
class Presence:
    """A method or reference on one board, by its record of the lowest seed.

    Args:
        card: the method.
        seed: that record's.
        facts: what the record says of it.
        words: the first codes' nearest words after SFT; none where it says none.
    """

    card: MethodCard
    seed: int
    facts: Fields
    words: tuple[tuple[str, str], ...]


def presence(cell: Cell) -> Presence:
    """Card, facts and nearest words of the method, taken from `cell`."""
    record = cell.record
    found: Mapping[str, Sequence[str]] = {}
    if record.files.diagnostics is not None:
        # A file that cannot be read is told where its figures would stand.
        with contextlib.suppress(DiagnosticsError):
            found = read_words(diagnostics_path(cell.path), "sft")
    words = tuple((code, ", ".join(found[code])) for code in list(found)[:MOST_WORDS])
    return Presence(record.method, record.seed, method_facts(record), words)
