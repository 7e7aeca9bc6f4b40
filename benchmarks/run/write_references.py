"""The references of a track as records: popularity, Markov, BM25."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.cell.ranks_table import as_ranks
from benchmarks.cell.saving import save_reference
from benchmarks.inputs.inputs import Inputs
from benchmarks.references.next_item import REFERENCES, Reference
from benchmarks.references.queries import QUERY_REFERENCES, QueryReference, query_counts
from benchmarks.run.plan import cell_state
from benchmarks.run.runner import RunError
from benchmarks.run.same_inputs import known_hashes, other_inputs
from gti.data.dataset import HELD_OUT
from leaderboard.records.ranks import Ranks, concatenate
from leaderboard.records.record import MethodCard, cell_hash, read_record, record_path
from leaderboard.records.setting import MethodParameters, Setting


def write_references(setting: Setting, inputs: Inputs, results: Path) -> list[Path]:
    """The track's references as records; those of these inputs that stand already are left alone.

    They rank all items: none are written for a setting that takes seen items out, where they
    would play by another rule than the methods.
    """
    written: list[Path] = []
    if setting.dataset.seen_items == "remove":
        return written
    for name in _references(inputs):
        card = reference_card(name, inputs)
        path = record_path(results, setting.name, name, 0)
        own = cell_hash(setting.hash, card.hash, 0)
        stands = cell_state(path, own) == "done"
        if not stands or other_inputs(read_record(path), known_hashes(setting, inputs)):
            written.append(write_reference(name, setting, inputs, results))
    return written


def references_of(*, queries: bool) -> Mapping[str, Reference | QueryReference]:
    """The references of the retrieval track (`queries`), or of next-item recommendation."""
    return QUERY_REFERENCES if queries else REFERENCES


def _references(inputs: Inputs) -> Mapping[str, Reference | QueryReference]:
    """The references of the inputs' track."""
    return references_of(queries=inputs.queries is not None)


def reference_card(name: str, inputs: Inputs) -> MethodCard:
    """The card of the reference `name` in records.

    Raises:
        RunError: the track has no such reference.
    """
    known = _references(inputs)
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


def write_reference(name: str, setting: Setting, inputs: Inputs, results: Path) -> Path:
    """Makes the reference `name` and writes its record; returns the path."""
    card, reference = reference_card(name, inputs), _references(inputs)[name]
    began = time.perf_counter()
    parts = [_reference_ranks(reference, setting, inputs, part) for part in HELD_OUT]
    seconds = time.perf_counter() - began
    return save_reference(setting, card, inputs, concatenate(parts), seconds, results)


def _reference_ranks(
    reference: Reference | QueryReference, setting: Setting, inputs: Inputs, part: str
) -> Ranks:
    """The ranks of all that `part` asks."""
    if isinstance(reference, Reference):
        rows = np.arange(len(inputs.split.users))
        counts = reference.count(inputs.split, inputs.dataset.num_items, part)
        return as_ranks(inputs, rows, part, counts.num_better, counts.num_tied)
    assert inputs.queries is not None  # such a reference is only listed for queries
    rows = np.arange(len(inputs.queries.of(part)))
    score = reference.scorer(inputs, setting)
    return as_ranks(inputs, rows, part, *query_counts(inputs.queries, part, score))
