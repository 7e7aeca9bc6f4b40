"""Made-up lines of people who ran a made-up record again."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.metrics.metrics import MAIN_METRIC, per_user
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.records.reproductions import Reproduction
from leaderboard.statistics.agreement import ranks_sha256, rows_sha256, spread_of

SEEDS = (0, 1, 2)


def exact_line(path: Path, **changes: Any) -> Reproduction:
    """An exact reproduction of the record at `path`, with `changes`."""
    record = read_record(path)
    ranks = read_ranks(ranks_path(path))
    score = record.metrics["test"][MAIN_METRIC]
    content = {
        "schema_version": 1,
        "record": record.digest,
        "who": "A. Reader",
        "when": "2026-11-22T05:00:00Z",
        "outcome": "exact",
        "differing": (),
        "context": (),
        "scores": {"metric": MAIN_METRIC, "recorded": score, "again": score},
        "spread": None,
        "num_rows": len(ranks),
        "same_rows": len(ranks),
        "ranks_sha256": ranks_sha256(ranks),
        "new_rows_sha256": rows_sha256(record),
        "environment": record.environment.model_dump(),
        "code": record.code.model_dump(),
        "seconds": 1.5,
    }
    return Reproduction.model_validate({**content, **changes})


def equivalent_line(path: Path, shift: float = 0.0, **changes: Any) -> Reproduction:
    """An equivalent one, whose score lies `shift` from the recorded; `SEEDS` lie beside it."""
    score = read_record(path).metrics["test"][MAIN_METRIC]
    assert score is not None  # the beam of made-up settings is wide enough
    beside = [ranks_path(path.with_name(f"seed-{seed}.json")) for seed in SEEDS]
    values = np.stack(
        [per_user(read_ranks(each).of_split("test"), MAIN_METRIC)[1] for each in beside]
    )
    seed = int(path.stem.removeprefix("seed-"))
    spread = spread_of(values, SEEDS, seed, values[seed] + shift)
    assert spread is not None  # of so many seeds there is one
    usual = {
        "outcome": "equivalent",
        "differing": ("ranks",),
        "context": ("instruction set AVX2, recorded AVX512",),
        "scores": {"metric": MAIN_METRIC, "recorded": score, "again": score + shift},
        "spread": asdict(spread),
        "ranks_sha256": "1" * 64,
        "same_rows": 3,
    }
    return exact_line(path, **{**usual, **changes})
