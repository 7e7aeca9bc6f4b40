"""A `Trial`: what one point of `gti-bench tune` scored on validation, kept beside the records.

<results>/tuning/<setting>/<method>/trial-<n>.json            written last: commit mark
<results>/tuning/<setting>/<method>/trial-<n>.ranks.parquet   validation ranks, as in a record
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from leaderboard.records.canonical import (
    canonical_json,
    file_sha256,
    readable_json,
    write_atomically,
)
from leaderboard.records.parts import Code, Cost, CurvePoint, Environment, Inputs, Metrics
from leaderboard.records.record import (
    MethodCard,
    RecordError,
    ranks_path,
    read_content,
    record_digest,
)
from leaderboard.records.setting import Setting
from leaderboard.records.specs import Frozen, Sha256

TRIAL_SCHEMA_VERSION = 2


class Trial(Frozen):
    """What a trial leaves. There is no field for test scores: they are never computed.

    Attributes:
        method: the method; its `parameters` are the point that was tried.
        score: validation `ndcg@10` over all users at the last step; null where it diverged.
        diverged: why there is no score; null where there is one.
        metrics: of validation, at the setting's cutoffs; null where it diverged.
        seconds: of the whole trial.
        ranks: sha256 of the ranks beside it; null where it diverged.
    """

    schema_version: int
    protocol: str
    setting: Setting
    setting_hash: Sha256
    method: MethodCard
    method_hash: Sha256
    seed: int
    number: int
    cell_hash: Sha256
    split: Literal["validation"]
    score: float | None
    diverged: str | None
    metrics: Metrics | None
    num_users: int | None
    beam: int
    cutoffs: tuple[int, ...]
    learning_curve: tuple[CurvePoint, ...]
    cost: dict[str, Cost]
    seconds: float
    environment: Environment
    inputs: Inputs
    code: Code
    ranks: Sha256 | None
    warnings: tuple[str, ...]
    digest: Sha256


def trial_path(results: Path, setting: str, method: str, number: int) -> Path:
    """Where the trial of that number lies."""
    return results / "tuning" / setting / method / f"trial-{number}.json"


def read_trial(path: Path) -> Trial:
    """The trial at `path`, whole and unchanged.

    Raises:
        RecordError: it cannot be read, was changed, or its ranks are not the ones it names.
    """
    content = read_content(path)
    trial = parse_trial(content, str(path))
    if record_digest(content) != trial.digest:
        raise RecordError(f"{path}: changed since it was written (digest differs)")
    if trial.ranks is not None:
        ranks = ranks_path(path)
        if not ranks.is_file() or file_sha256(ranks) != trial.ranks:
            raise RecordError(f"{ranks}: not the file its trial names")
    return trial


def parse_trial(content: dict[str, Any], source: str) -> Trial:
    """Checks `content` against the schema; `source` names it in errors.

    Raises:
        RecordError: a field that is missing, unknown or of the wrong type.
    """
    try:
        return Trial.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(f"{source}: field {where}: {first['msg'].lower()}") from error


def find_trials(path: Path) -> Iterator[Path]:
    """The trial files under `path`, sorted: a results directory or any part of its `tuning`."""
    yield from sorted(path.rglob("trial-*.json"))


def write_trial(path: Path, content: dict[str, Any]) -> Trial:
    """Adds the digest to `content`, checks it, and writes it atomically as the trial's commit mark.

    `content` is the trial as JSON-ready values without `digest`; its ranks must lie there already.
    """
    trial = parse_trial({**content, "digest": "0" * 64}, str(path))
    canonical = json.loads(canonical_json(trial.model_dump(mode="json")))
    canonical["digest"] = record_digest(canonical)
    write_atomically(path, readable_json(canonical))
    return parse_trial(canonical, str(path))
