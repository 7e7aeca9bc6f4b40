"""A `Trial`: what one rate of `gti-bench tune` gave at one seed, kept beside the records.

<results>/tuning/<setting>/<method>/trial-<stage>-<n>-<seed>.json      written last: commit mark
<results>/tuning/<setting>/<method>/trial-<stage>-<n>-<seed>.ranks.parquet  validation's, if any

Stage "grounding" tries rates of the stage before SFT, without SFT; it leaves no ranks. Stage "sft"
tries SFT rates, in whole runs.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from leaderboard.records.bounded import BoundsError, bounded_sha256
from leaderboard.records.canonical import (
    canonical_json,
    readable_json,
    write_atomically,
)
from leaderboard.records.parts import (
    Code,
    Cost,
    CurvePoint,
    Environment,
    Inputs,
    Metrics,
    Treatment,
)
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import (
    MethodCard,
    RecordError,
    ranks_path,
    read_content,
    record_digest,
)
from leaderboard.records.setting import Setting
from leaderboard.records.specs import Frozen, Sha256

TRIAL_SCHEMA_VERSION = 3
Stage = Literal["grounding", "sft"]
SCORES: Mapping[Stage, str] = {"grounding": "held_out_nll", "sft": "trie_nll"}
"""What a stage's trials are scored by; less is better. `held_out_nll`: mean over both directions of
the NLL per answer token of pairs that are held out of grounding."""
TRAINED = "warm-"
"""How the ids of queries for items that are trained on begin, where items are of kinds."""


class TrialName(Frozen):
    """Which trial of a method at a seed.

    Attributes:
        stage: whose rate is tried.
        number: the rate's place in the setting's list, from 1.
    """

    stage: Stage
    number: Annotated[int, Field(ge=1)]


class Trial(Frozen):
    """What a trial leaves. There is no field for test scores: they are never computed.

    Attributes:
        setting: as `setting_of_trials` gives it, so that the rates chosen leave trials valid.
        method: the method; its `parameters` hold the rate that was tried, and in stage "sft" the
            grounding rate that stage "grounding" found.
        stage: whose rate was tried.
        number: the rate's place in the setting's list, from 1.
        metric: that of `SCORES`.
        score: by `metric`, over the rows `judged` or all measured pairs; null where it diverged.
        diverged: why there is no score; null where there is one.
        treatment: of stage "grounding", what the stage did; else null.
        metrics: of validation, at the setting's cutoffs; null without ranks.
        seconds: of the whole trial.
        ranks: sha256 of the ranks beside it; null in stage "grounding" and where it diverged.
    """

    schema_version: int
    protocol: str
    setting: Setting
    setting_hash: Sha256
    method: MethodCard
    method_hash: Sha256
    seed: int
    stage: Stage
    number: int
    cell_hash: Sha256
    metric: str
    score: float | None
    diverged: str | None
    treatment: Treatment | None
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


def setting_of_trials(setting: Setting) -> Setting:
    """`setting` with the lowest of the rates to try in place of its own: the one that trials name.

    The rates chosen become the setting's own; the trials that led to them stay trials of it.
    """
    tuning = setting.tuning
    if tuning is None:
        return setting
    sft = setting.sft.model_copy(update={"learning_rate": tuning.sft_rates[0]})
    grounding = setting.grounding
    if tuning.grounding_rates is not None:
        grounding = grounding.model_copy(update={"learning_rate": tuning.grounding_rates[0]})
    return setting.model_copy(update={"sft": sft, "grounding": grounding})


def held_out_nll(treatment: Treatment) -> float | None:
    """Mean over both directions of the held-out pairs' NLL; null where one was not measured."""
    found = {each.direction: each.true for each in treatment.pairs if each.share == "held_out"}
    return math.fsum(found.values()) / 2 if len(found) == 2 else None


def judged(ranks: Ranks, setting: Setting) -> Ranks:
    """Of a trial's validation `ranks` those that its SFT rate is judged by: all of them.

    Where items are of kinds, those of items that are trained on: of the others a loss is lowest
    where a model has learned nothing and takes every item for as likely.
    """
    if setting.queries is None or setting.queries.warm_cold_new is None:
        return ranks
    return ranks.where(np.char.startswith(ranks.user, TRAINED))


def trial_path(results: Path, setting: str, method: str, name: TrialName, seed: int) -> Path:
    """Where the trial of that name lies."""
    file = f"trial-{name.stage}-{name.number}-{seed}.json"
    return results / "tuning" / setting / method / file


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
        try:
            found = bounded_sha256(ranks)
        except (OSError, BoundsError) as error:
            raise RecordError(f"cannot read ranks {ranks}: {error}") from error
        if found != trial.ranks:
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
