"""What a record of a cell has and one of a reference has not, with its sidecar and input."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.perf.honest_records.measured import measured_of
from benchmarks.perf.honest_records.ranks import raw_recall_of
from benchmarks.perf.honest_records.rows import manifest_of, proof_of, rows_after, spectrum_of
from benchmarks.perf.honest_records.settings import Shape, artefact
from benchmarks.perf.honest_records.sketches import Sketch
from benchmarks.perf.honest_records.training import training_of
from leaderboard.records.canonical import digest_of, file_sha256
from leaderboard.records.diagnostics import packed
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import MethodCard, diagnostics_path, ranks_path
from leaderboard.records.semantic_ids import artefact_path
from leaderboard.records.setting import Setting


def cell_parts(
    path: Path,
    setting: Setting,
    shape: Shape,
    card: MethodCard,
    sketch: Sketch,
    seed: int,
    ranks: Ranks,
) -> dict[str, Any]:
    """The parts of the record at `path`; writes its diagnostics and the Semantic IDs."""
    sids, whole = artefact(shape, setting.semantic_ids.seed_at(seed))
    rows = {s: rows_after(shape, card.key, seed, s, sketch.drawn) for s in sketch.stages}
    described = {stage: spectrum_of(shape, sids, after) for stage, after in rows.items()}
    arrays: dict[str, Any] = {}
    for stage, (_, found) in described.items():
        arrays |= packed(stage, found)
    np.savez_compressed(diagnostics_path(path), **arrays)
    place = artefact_path(path, sids.sha256)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(whole)
    beam, used = setting.decoding.beam, min(setting.decoding.beam, sids.distinct)
    return {
        "kind": "cell",
        "accounting": {
            "num_items": shape.items,
            "distinct_sids": sids.distinct,
            "collision_rate": 1 - sids.distinct / shape.items,
            "used_codes": [shape.codes] * shape.levels,
            "num_codes": shape.codes,
            "trie_mass": [0.9] * shape.levels,
            "raw_recall": raw_recall_of(ranks, setting),
            "beam": beam,
            "beam_used_min": used,
            "beam_used_mean": float(used),
        },
        "manifest": manifest_of(shape, card, rows["init"]),
        "proofs": [proof_of(shape, f"{card.key} {seed}", s, rows[s]) for s in sketch.stages[1:]],
        "diagnostics": {stage: numbers for stage, (numbers, _) in described.items()},
        **training_of(setting, shape, sids, sketch, seed, ranks.of_split("validation")),
        **measured_of(setting, shape, sketch, f"{card.key}/{seed}"),
        "inputs": {
            "dataset": setting.dataset.sha256,
            "queries": setting.queries and setting.queries.sha256,
            "semantic_ids": sids.sha256,
            **{name: digest_of(name) for name in ("backbone", "tokenizer", "prompts")},
        },
        "files": {
            "ranks": file_sha256(ranks_path(path)),
            "diagnostics": file_sha256(diagnostics_path(path)),
        },
    }
