"""Writes a finished cell: sidecars first, the record last as the commit mark."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.environment import describe_code, describe_environment, plain_environment
from benchmarks.inputs import Inputs
from gti.dataset import IntArray
from gti.queries import QuerySet
from gti.wordings import wordings_sha256
from leaderboard.canonical import file_sha256, write_atomically
from leaderboard.metrics import metrics, num_users, raw_recall, relevance_of, slices
from leaderboard.ranks import Ranks, concatenate, write_ranks
from leaderboard.record import (
    PROTOCOL_VERSION,
    SCHEMA_VERSION,
    MethodCard,
    cell_hash,
    diagnostics_path,
    ranks_path,
    record_path,
    write_record,
)
from leaderboard.reproductions import reproductions_path
from leaderboard.setting import Setting

if TYPE_CHECKING:
    from benchmarks.cell import CellRun
    from gti.decoding import ItemRanks


class SavedCell:
    """A finished run and its scores, ready to be written."""

    def __init__(self, run: "CellRun", scores: dict[str, tuple[Ranks, "ItemRanks"]]) -> None:
        self.run = run
        self.scores = scores


def as_ranks(
    inputs: Inputs,
    rows: IntArray,
    part: str,
    num_better: IntArray,
    num_tied: IntArray,
    wording: int = 0,
) -> Ranks:
    """The ranks table of users `rows` of the split; −1 in both counts: outside the beam.

    On the retrieval track `rows` are queries, and the counts those of all their relevant items.
    """
    if inputs.queries is not None:
        return _query_ranks(inputs, inputs.queries, rows, part, num_better, num_tied, wording)
    dataset, split = inputs.dataset, inputs.split
    targets = split.targets(part)[rows]
    users = split.users[rows]
    count = len(rows)
    in_beam = num_better >= 0
    return Ranks(
        split=np.full(count, part),
        user=np.array([dataset.user_ids[user] for user in users]),
        wording=np.full(count, wording, np.int16),
        item=np.array([dataset.item_ids[item] for item in targets]),
        grade=np.ones(count, np.int8),
        in_beam=in_beam,
        num_better=np.where(in_beam, num_better, 0),
        num_tied=np.where(in_beam, num_tied, 0),
        target_popularity=inputs.popularity[targets].astype(np.int32),
        history_length=np.array([len(split.history(int(row), part)) for row in rows]),
    )


def _query_ranks(
    inputs: Inputs,
    queries: QuerySet,
    rows: IntArray,
    part: str,
    num_better: IntArray,
    num_tied: IntArray,
    wording: int,
) -> Ranks:
    """One row per query of `rows` and relevant item, good ones first."""
    asked = [queries.of(part)[row] for row in rows]
    targets = np.concatenate([query.relevant for query in asked])
    count = len(targets)
    in_beam = num_better >= 0
    names = np.array([query.key for query in asked])
    return Ranks(
        split=np.full(count, part),
        user=np.repeat(names, [len(query.relevant) for query in asked]),
        wording=np.full(count, wording, np.int16),
        item=np.array(inputs.dataset.item_ids)[targets],
        grade=np.concatenate([query.grades for query in asked]).astype(np.int8),
        in_beam=in_beam,
        num_better=np.where(in_beam, num_better, 0),
        num_tied=np.where(in_beam, num_tied, 0),
        target_popularity=inputs.popularity[targets].astype(np.int32),
        history_length=np.zeros(count, np.int32),
    )


def method_card(method: Any, parameters: Any) -> MethodCard:
    """The record's card of a method."""
    return MethodCard(
        key=method.key,
        summary=method.summary,
        source=method.source,
        version=method.version,
        group=method.group,
        spends=dict(method.spends),
        parameters=parameters,
    )


def identity(setting: Setting, card: MethodCard, seed: int) -> dict[str, Any]:
    """The fields of a record that say which cell it is."""
    return {
        "schema_version": SCHEMA_VERSION,
        "protocol": PROTOCOL_VERSION,
        "setting": setting.model_dump(mode="json"),
        "setting_hash": setting.hash,
        "method": card.model_dump(mode="json"),
        "method_hash": card.hash,
        "seed": seed,
        "cell_hash": cell_hash(setting.hash, card.hash, seed),
    }


def figures(ranks: Ranks, setting: Setting, beam: int | None) -> dict[str, Any]:
    """Metrics, slices and numbers of users, all from the counts."""
    cutoffs, relevance = setting.evaluation.cutoffs, relevance_of(setting)
    parts = {part: ranks.of_split(part) for part in ("validation", "test")}
    return {
        "metrics": {part: metrics(rows, cutoffs, beam, relevance) for part, rows in parts.items()},
        "slices": slices(parts["test"], cutoffs, beam, relevance),
        "num_users": {part: num_users(rows) for part, rows in parts.items()},
    }


def npz_bytes(arrays: Mapping[str, Any]) -> bytes:
    """`arrays`, all of numbers, as a compressed npz archive: nothing in it is pickled."""
    buffer = io.BytesIO()
    # No allow_pickle here: older numpy takes it for the name of an array (seen with 2.1).
    np.savez_compressed(buffer, **dict(sorted(arrays.items())))
    return buffer.getvalue()


def _accounting(saved: SavedCell) -> dict[str, Any]:
    setting, sids = saved.run.setting, saved.run.inputs.semantic_ids
    ranks, found = saved.scores["test"]
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


def queries_sha256(inputs: Inputs) -> str | None:
    """Hash of the queries; null on the next-item track."""
    return None if inputs.queries is None else inputs.queries.sha256


def inputs_of(run: "CellRun") -> dict[str, str | None]:
    """sha256 of everything that `run` read."""
    return {
        "dataset": run.inputs.dataset.full_sha256,
        "semantic_ids": run.inputs.semantic_ids.sha256,
        "backbone": run.backbone.weights_sha256,
        "tokenizer": run.backbone.tokenizer_sha256,
        "prompts": wordings_sha256(),
        "queries": queries_sha256(run.inputs),
    }


def save_cell(saved: SavedCell, results: Path) -> Path:
    """Writes the sidecars and then the record of `saved`; returns the record's path."""
    run = saved.run
    card = method_card(run.method, run.parameters)
    path = record_path(results, run.setting.name, card.key, run.seed)
    ranks = concatenate([saved.scores[part][0] for part in ("validation", "test")])
    keep_semantic_ids(run.inputs, results)
    ranks_sha256 = write_ranks(ranks_path(path), ranks)
    write_atomically(diagnostics_path(path), npz_bytes(run.ledger.arrays))
    content = {
        **identity(run.setting, card, run.seed),
        "kind": "cell",
        **figures(ranks, run.setting, run.setting.decoding.beam),
        "accounting": _accounting(saved),
        "learning_curve": run.ledger.curve,
        "tasks": dict(sorted(run.ledger.tasks.items())),
        "manifest": run.manifest,
        "proofs": run.ledger.proofs,
        "diagnostics": run.ledger.diagnostics,
        "cost": run.ledger.cost,
        "budget": {
            "sft_flops": run.sft_flops,
            "extra_flops": run.extra.flops,
            "extra_spent_flops": run.ledger.extra_spent,
        },
        "environment": describe_environment(
            run.device, run.dtype, run.attention, deterministic=True
        ),
        "inputs": inputs_of(run),
        "code": describe_code(plain=run.plain),
        "files": {
            "ranks": ranks_sha256,
            "diagnostics": file_sha256(diagnostics_path(path)),
        },
        "warnings": run.ledger.warnings,
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
    inputs: Inputs,
    ranks: Ranks,
    seconds: float,
    results: Path,
    *,
    seed: int = 0,
    **others: Any,
) -> Path:
    """Writes the record of a reference (full ranking, no beam); returns its path.

    Args:
        setting: what it stands beside.
        card: the reference.
        inputs: what it read.
        ranks: of both parts.
        seconds: what scoring took.
        results: where records go.
        seed: 0 where it draws nothing.
        others: fields of the record that differ for a reference of another library.
    """
    path = record_path(results, setting.name, card.key, seed)
    ranks_sha256 = write_ranks(ranks_path(path), ranks)
    content = {
        **identity(setting, card, seed),
        "kind": "reference",
        **figures(ranks, setting, None),
        "accounting": None,
        "learning_curve": [],
        "tasks": {},
        "manifest": None,
        "proofs": [],
        "diagnostics": {},
        "cost": {"score": {"seconds": seconds}},
        "budget": None,
        "environment": plain_environment(),
        "inputs": {
            "dataset": inputs.dataset.full_sha256,
            "semantic_ids": None,
            "backbone": None,
            "tokenizer": None,
            "prompts": None,
            "queries": queries_sha256(inputs),
        },
        "code": describe_code(),
        "files": {"ranks": ranks_sha256, "diagnostics": None},
        "warnings": [],
        **others,
    }
    return _commit(path, content)
