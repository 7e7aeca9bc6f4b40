"""Writes a finished cell: sidecars first, the record last as the commit mark."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cell.finished import FinishedCell, LoadedCell
from benchmarks.cell.identity import identity
from benchmarks.inputs.inputs import Inputs, ReadData
from benchmarks.machine.environment import describe_code, describe_environment, plain_environment
from gti.data.dataset import HELD_OUT
from leaderboard.metrics.metrics import metrics, num_users, raw_recall, relevance_of, slices
from leaderboard.records.canonical import file_sha256, write_atomically
from leaderboard.records.ranks import Ranks, concatenate, write_ranks
from leaderboard.records.record import (
    MethodCard,
    diagnostics_path,
    ranks_path,
    record_path,
    write_record,
)
from leaderboard.records.reproductions import reproductions_path
from leaderboard.records.setting import Setting


def figures(ranks: Ranks, setting: Setting, beam: int | None) -> dict[str, Any]:
    """Metrics, slices and numbers of users, all from the counts."""
    cutoffs, relevance = setting.evaluation.cutoffs, relevance_of(setting)
    parts = {part: ranks.of_split(part) for part in HELD_OUT}
    return {
        "metrics": {part: metrics(rows, cutoffs, beam, relevance) for part, rows in parts.items()},
        "slices": slices(parts["test"], cutoffs, beam, relevance),
        "num_users": {part: num_users(rows) for part, rows in parts.items()},
    }


def npz_bytes(arrays: Mapping[str, Any]) -> bytes:
    """`arrays`, of numbers or texts, as a compressed npz archive: nothing in it is pickled."""
    buffer = io.BytesIO()
    # No allow_pickle here: older numpy takes it for the name of an array (seen with 2.1).
    np.savez_compressed(buffer, **dict(sorted(arrays.items())))
    return buffer.getvalue()


def _accounting(cell: FinishedCell) -> dict[str, Any]:
    setting, sids = cell.spec.setting, cell.spec.inputs.semantic_ids
    ranks, found = cell.scores["test"]
    return {
        "num_items": sids.num_items,
        "distinct_sids": sids.distinct,
        "collision_rate": sids.collision_rate,
        "used_codes": sids.used_per_level,
        "num_codes": sids.num_codes,
        "trie_mass": [float(mass) for mass in found.trie_mass.mean(axis=0)],
        "raw_recall": raw_recall(
            ranks, setting.evaluation.cutoffs, setting.decoding.beam, relevance_of(setting)
        ),
        "beam": setting.decoding.beam,
        "beam_used_min": int(found.beam_used.min()),
        "beam_used_mean": float(found.beam_used.mean()),
    }


def common_fields(cell: LoadedCell) -> dict[str, Any]:
    """The fields that records and trials of a cell share."""
    spec, ledger = cell.spec, cell.ledger
    return {
        **identity(spec.setting, spec.card, spec.seed),
        "learning_curve": ledger.curve,
        "cost": ledger.cost,
        "environment": describe_environment(
            spec.device, cell.dtype, cell.attention, deterministic=True
        ),
        "inputs": cell.read,
        "code": describe_code(plain=spec.plain),
        "warnings": ledger.warnings,
    }


def save_cell(cell: FinishedCell, results: Path) -> Path:
    """Writes the sidecars and then the record of `cell`; returns the record's path."""
    spec, ledger = cell.spec, cell.ledger
    path = record_path(results, spec.setting.name, spec.card.key, spec.seed)
    ranks = concatenate([cell.scores[part][0] for part in HELD_OUT])
    keep_semantic_ids(spec.inputs, results)
    ranks_sha256 = write_ranks(ranks_path(path), ranks)
    write_atomically(diagnostics_path(path), npz_bytes(ledger.arrays))
    content = {
        **common_fields(cell),
        "kind": "cell",
        **figures(ranks, spec.setting, spec.setting.decoding.beam),
        "accounting": _accounting(cell),
        "tasks": dict(sorted(ledger.tasks.items())),
        "manifest": cell.manifest,
        "proofs": ledger.proofs,
        "diagnostics": ledger.diagnostics,
        "treatment": ledger.treatment,
        "retention": ledger.retention,
        "budget": {
            "sft_flops": cell.sft_flops,
            "extra_flops": cell.extra_flops,
            "extra_spent_flops": ledger.extra_spent,
        },
        "files": {
            "ranks": ranks_sha256,
            "diagnostics": file_sha256(diagnostics_path(path)),
        },
    }
    return _commit(path, content)


def _commit(path: Path, content: dict[str, Any]) -> Path:
    """Writes the record; reproductions of one that lay there before are not of this one."""
    write_record(path, content)
    reproductions_path(path).unlink(missing_ok=True)
    return path


def keep_semantic_ids(inputs: Inputs, results: Path) -> None:
    """Puts the artefact under `<results>/inputs/` by its hash, once."""
    path = results / "inputs" / f"{inputs.semantic_ids.sha256}.npz"
    if not path.exists():
        write_atomically(path, inputs.semantic_ids.to_bytes())


def save_reference(
    setting: Setting,
    card: MethodCard,
    inputs: ReadData,
    ranks: Ranks,
    seconds: float,
    results: Path,
    *,
    seed: int = 0,
    beam: int | None = None,
    read: dict[str, str | None] | None = None,
    **others: Any,
) -> Path:
    """Writes the record of a reference; returns its path.

    Args:
        setting: what it stands beside.
        card: the reference.
        inputs: what it read.
        ranks: of both parts.
        seconds: what scoring took.
        results: where records go.
        seed: 0 where it draws nothing.
        beam: that ranked the items; null: all were ranked.
        read: sha256 of what it read beside data and queries, by its name in records.
        others: fields of the record that differ for a reference that is trained.
    """
    path = record_path(results, setting.name, card.key, seed)
    ranks_sha256 = write_ranks(ranks_path(path), ranks)
    content = {
        **identity(setting, card, seed),
        "kind": "reference",
        **figures(ranks, setting, beam),
        "accounting": None,
        "learning_curve": [],
        "tasks": {},
        "manifest": None,
        "proofs": [],
        "diagnostics": {},
        "treatment": None,
        "retention": None,
        "cost": {"score": {"seconds": seconds}},
        "budget": None,
        "environment": plain_environment(),
        "inputs": {
            "dataset": inputs.dataset.full_sha256,
            "semantic_ids": None,
            "backbone": None,
            "tokenizer": None,
            "prompts": None,
            "queries": None if inputs.queries is None else inputs.queries.sha256,
            **(read or {}),
        },
        "code": describe_code(),
        "files": {"ranks": ranks_sha256, "diagnostics": None},
        "warnings": [],
        **others,
    }
    return _commit(path, content)
