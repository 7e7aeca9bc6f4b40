"""The references of a track as records: popularity, Markov, BM25, dense retrieval."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.cell.ranks_table import as_ranks
from benchmarks.cell.saving import save_reference
from benchmarks.inputs.encoders import EncoderError
from benchmarks.inputs.inputs import ReadData
from benchmarks.machine.assets import AssetError
from benchmarks.machine.events import Say
from benchmarks.references.next_item import REFERENCES, Reference
from benchmarks.references.queries import (
    QueryReference,
    Scores,
    peer_counts,
    query_counts,
    query_references,
)
from benchmarks.run.plan import cell_state
from benchmarks.run.runner import RunError
from benchmarks.run.same_inputs import data_hashes, other_inputs
from gti.data.dataset import HELD_OUT
from gti.data.queries import Query
from leaderboard.records.ranks import Ranks, concatenate
from leaderboard.records.record import MethodCard, cell_hash, read_record, record_path
from leaderboard.records.setting import MethodParameters, Setting


def write_references(
    setting: Setting, inputs: ReadData, results: Path, say: Say, *, offline: bool = False
) -> list[Path]:
    """The setting's references as records; those of these inputs that stand already are left alone.

    They rank all items: none are written for a setting that takes seen items out, where they
    would play by another rule than the methods. One whose text encoder is not at hand is left out,
    which `say` is told.
    """
    written: list[Path] = []
    if setting.dataset.seen_items == "remove":
        return written
    for name in references_of(setting):
        card = reference_card(name, setting)
        path = record_path(results, setting.name, name, 0)
        own = cell_hash(setting.hash, card.hash, 0)
        stands = cell_state(path, own) == "done"
        if not stands or other_inputs(read_record(path), data_hashes(inputs)):
            try:
                written.append(write_reference(name, setting, inputs, results, offline=offline))
            except (EncoderError, AssetError) as problem:
                say(f"reference {name} is left out: {problem}")
    return written


def references_of(setting: Setting) -> Mapping[str, Reference | QueryReference]:
    """The references of the setting's track."""
    return REFERENCES if setting.queries is None else query_references(setting)


def reference_card(name: str, setting: Setting) -> MethodCard:
    """The card of the reference `name` in records.

    Raises:
        RunError: the setting has no such reference.
    """
    known = references_of(setting)
    if name not in known:
        raise RunError(f"no reference {name!r} here; there are {', '.join(known)}")
    return card_of_reference(name, known[name])


def card_of_reference(name: str, reference: Reference | QueryReference) -> MethodCard:
    """The card that records of `reference`, by its `name`, have."""
    return MethodCard(
        key=name,
        summary=reference.summary,
        source=reference.source,
        version=1,
        group="reference",
        spends={},
        parameters=MethodParameters(),
    )


def write_reference(
    name: str, setting: Setting, inputs: ReadData, results: Path, *, offline: bool = False
) -> Path:
    """Makes the reference `name` and writes its record; returns the path."""
    card, reference = reference_card(name, setting), references_of(setting)[name]
    began = time.perf_counter()
    if isinstance(reference, Reference):
        parts = [_next_item_ranks(reference, inputs, part) for part in HELD_OUT]
    else:
        score = reference.scorer(inputs, setting, offline=offline)
        parts = [_query_ranks(score, inputs, part) for part in HELD_OUT]
    seconds = time.perf_counter() - began
    return save_reference(setting, card, inputs, concatenate(parts), seconds, results)


def _next_item_ranks(reference: Reference, inputs: ReadData, part: str) -> Ranks:
    """The ranks of all users of `part`."""
    rows = np.arange(len(inputs.split.users))
    counts = reference.count(inputs.split, inputs.dataset.num_items, part)
    return as_ranks(inputs, rows, part, counts.num_better, counts.num_tied)


def _query_ranks(score: Callable[[Query], Scores], inputs: ReadData, part: str) -> Ranks:
    """The ranks of all queries of `part`."""
    assert inputs.queries is not None  # such a reference is only listed for queries
    rows = np.arange(len(inputs.queries.of(part)))
    counts = query_counts(inputs.queries, part, score)
    peers = peer_counts(inputs.queries, part, score) if part == "test" else None
    return as_ranks(inputs, rows, part, *counts, peers=peers)
