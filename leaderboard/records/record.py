"""The `Record`: what one cell (setting × method × seed) leaves behind, and how it is stored.

    <results>/<setting>/<method>/seed-<n>.json              the record, written last: commit mark
    <results>/<setting>/<method>/seed-<n>.ranks.parquet     counts from which every metric follows
    <results>/<setting>/<method>/seed-<n>.diagnostics.npz   spectra, cosine matrices (no pickling)

Unknown values are null. Nothing that was not measured stands in a record.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from leaderboard.records.canonical import (
    canonical_json,
    digest_of,
    readable_json,
    write_atomically,
)
from leaderboard.records.facts import MethodFacts
from leaderboard.records.setting import Frozen, MethodParameters, Name, Setting, Sha256

SCHEMA_VERSION = 1
PROTOCOL_VERSION = "1"
"""Version of split, prompts, beam and metric definitions; scores of two protocols never mix."""

Metrics = dict[str, float | None]


class MethodCard(Frozen):
    """A method as it was when the cell ran.

    `spends` says which share of the extra budget A goes before, beside or after SFT on R; empty
    where the method uses R alone.
    """

    key: Name
    summary: str
    source: str
    version: int
    group: Literal["core", "initialization", "control", "reference"]
    spends: dict[Literal["before", "beside", "after"], float]
    parameters: MethodParameters
    settings: dict[str, bool | int | float | str] | None = None
    """Of a reference that another library computed, by the library's names; null for the rest."""
    facts: MethodFacts | None = None
    """Null for references, and in records from before it was kept."""

    @model_validator(mode="after")
    def _check_contrasts(self) -> Self:
        for pair in self.facts.contrasts if self.facts else ():
            if self.key not in (pair.a, pair.b):
                raise ValueError(f"contrast {pair.a} − {pair.b} is none of method {self.key}")
        return self

    @property
    def hash(self) -> str:
        """sha256 of what can change a number: key, version, own parameters, and settings if any."""
        content = {
            "key": self.key,
            "version": self.version,
            "parameters": self.parameters.model_dump(mode="json"),
        }
        if self.settings is not None:
            content["settings"] = self.settings
        return digest_of(content)


class CurvePoint(Frozen):
    """One point of the learning curve, on the fixed validation sample; `step` 0 is before SFT."""

    step: int
    passes: float
    nominal_flops: float
    seconds: float
    train_loss: float | None
    metrics: Metrics


class SidAccounting(Frozen):
    """What the Semantic IDs and the beam allow.

    `trie_mass`: mean probability mass, per level, that the model puts on the codes the trie allows
    (test users, along the best beam). `recall_raw@k` counts any item of the hit SID as a hit;
    `recall@k` in the metrics shares a hit among the items that collide.
    """

    num_items: int
    distinct_sids: int
    collision_rate: float
    used_codes: tuple[int, ...]
    num_codes: int
    trie_mass: tuple[float, ...] | None
    raw_recall: Metrics
    beam: int
    beam_used_min: int
    beam_used_mean: float


class Manifest(Frozen):
    """Proof of initialization: which rows were written, by whom, with what.

    Hashes are over the float32 little-endian bytes of the rows, in the order of the Semantic ID
    tokens (new rows) and of token ids (text rows), those of an untied head below them.
    """

    initializer: str
    first_token_id: int
    num_rows: int
    rows_before: int
    rows_after: int
    padding_rows: int
    num_text_rows: int
    tied: bool
    norm_mean: float
    norm_std: float
    text_norm_mean: float
    cosine_to_text_mean: float | None
    pairwise_cosine_mean: float | None
    identical_rows: bool
    new_rows_sha256_before: Sha256 | None
    new_rows_sha256_after: Sha256
    text_rows_sha256_before: Sha256
    text_rows_sha256_after: Sha256


class StageProof(Frozen):
    """What one stage moved: rows and weights, compared bit for bit before and after the stage."""

    stage: str
    trainable_parameters: int
    new_rows_with_gradient: int
    text_rows_with_gradient: int
    new_rows_changed: int
    text_rows_changed: int
    backbone_changed: bool
    new_rows_sha256: Sha256
    text_rows_sha256: Sha256


class Spectrum(Frozen):
    """Numbers of one stage's new rows; defined in `gti.model.diagnostics`. Undefined is null."""

    num_rows: int
    unused_rows: int
    effective_rank: float | None
    effective_rank_centred: float | None
    stable_rank: float | None
    norm_mean: float
    cosine_mean: float | None
    cosine_within_level: tuple[float | None, ...]
    cosine_across_levels: float | None
    rsa_pearson: float | None
    rsa_spearman: float | None
    rsa_pearson_per_level: tuple[float | None, ...]
    rsa_spearman_per_level: tuple[float | None, ...]
    text_affinity: float | None
    nearest_words: dict[str, tuple[str, ...]]


class Cost(Frozen):
    """Cost of one stage. FLOPs: nominal = the plain form's; actual = what this code did.

    Attributes:
        peak_memory_bytes: held at most during the stage, weights and data included: in tensors on a
            GPU, by the process on Linux, where what it no longer used went back to the system
            before the stage. Elsewhere, and in records whose environment says no attention, the
            most since the process began.
        device_flops: FLOP/s that the device could do: of a measured matrix product on a CPU (the
            largest rate seen until the stage's end), the vendor's figure on a GPU; null where
            unknown.
        utilisation: actual FLOPs over seconds times `device_flops`.
    """

    seconds: float
    tokens: int | None = None
    steps: int | None = None
    nominal_flops: float | None = None
    actual_flops: float | None = None
    peak_memory_bytes: int | None = None
    first_loss: float | None = None
    last_loss: float | None = None
    device_flops: float | None = None
    utilisation: float | None = None


class Budget(Frozen):
    """The two budgets in nominal FLOPs, and what the method spent of A."""

    sft_flops: float
    extra_flops: float
    extra_spent_flops: float


class Environment(Frozen):
    """Where the cell ran.

    Attributes:
        dtype: computed in; the setting's, unless a warning of the record says why not.
        attention: the library's way and torch's kernel for it, "sdpa: flash"; null where there is
            none, and in records from before it was kept.
    """

    machine: str
    processor: str
    instruction_set: str | None
    device: str
    driver: str | None
    threads: int
    dtype: str
    attention: str | None = None
    deterministic: bool
    python: str
    platform: str
    packages: dict[str, str]


class Inputs(Frozen):
    """sha256 of everything the cell read."""

    dataset: Sha256
    semantic_ids: Sha256 | None
    backbone: Sha256 | None
    tokenizer: Sha256 | None
    prompts: Sha256 | None
    queries: Sha256 | None = None
    """The queries of the retrieval track; null for next-item recommendation."""


class Code(Frozen):
    """Which code ran; null where it was not a git checkout.

    `plain`: the slow reference forms (`gti-bench run --plain`); null: those of everyday.
    """

    version: str
    commit: str | None
    dirty: bool | None
    plain: Literal[True] | None = None


class Files(Frozen):
    """sha256 of the sidecars."""

    ranks: Sha256
    diagnostics: Sha256 | None


class ReferenceFit(Frozen):
    """How a reference of another library was fitted.

    Attributes:
        known_at: the part for whose targets this fit's known interactions were all there are.
        knows: the rule about what it has read, in words.
        rows: training rows, as the library makes them.
        trainable_parameters: 0 where it only counts.
        epochs: trained; null where it only counts.
        best_epoch: the one whose weights were kept, from 1.
        validation_ndcg10: after each epoch, by the library's own evaluator.
        train_loss: mean of each epoch.
        seconds: of this fit.
    """

    known_at: Literal["validation", "test"]
    knows: str
    rows: int
    trainable_parameters: int
    epochs: int | None
    best_epoch: int | None
    validation_ndcg10: tuple[float, ...]
    train_loss: tuple[float, ...]
    seconds: float


class Record(Frozen):
    """What a cell leaves. References (popularity, Markov) leave the same with kind `reference`."""

    schema_version: int
    protocol: str
    kind: Literal["cell", "reference"]
    setting: Setting
    setting_hash: Sha256
    method: MethodCard
    method_hash: Sha256
    seed: int
    cell_hash: Sha256
    metrics: dict[Literal["test", "validation"], Metrics]
    slices: dict[str, Metrics]
    num_users: dict[Literal["test", "validation"], int]
    accounting: SidAccounting | None
    learning_curve: tuple[CurvePoint, ...]
    tasks: dict[str, int]
    manifest: Manifest | None
    proofs: tuple[StageProof, ...]
    diagnostics: dict[str, Spectrum]
    cost: dict[str, Cost]
    budget: Budget | None
    fits: tuple[ReferenceFit, ...] | None = None
    environment: Environment
    inputs: Inputs
    code: Code
    files: Files
    warnings: tuple[str, ...]
    digest: Sha256


class RecordError(ValueError):
    """A record that cannot be read; the message names the file and the field."""


def cell_hash(setting_hash: str, method_hash: str, seed: int) -> str:
    """Identity of a cell: a finished record with this hash need not run again."""
    return digest_of(
        {
            "setting": setting_hash,
            "method": method_hash,
            "seed": seed,
            "protocol": PROTOCOL_VERSION,
        }
    )


def record_digest(content: dict[str, Any]) -> str:
    """The sha256 of a record's canonical JSON with `digest` left out."""
    return digest_of({key: value for key, value in content.items() if key != "digest"})


def record_path(results: Path, setting: str, method: str, seed: int) -> Path:
    """Where the record of a cell lies."""
    return results / setting / method / f"seed-{seed}.json"


def ranks_path(record: Path) -> Path:
    """The ranks file beside the record file `record`."""
    return record.with_name(f"{record.stem}.ranks.parquet")


def diagnostics_path(record: Path) -> Path:
    """The diagnostics file beside the record file `record`."""
    return record.with_name(f"{record.stem}.diagnostics.npz")


def read_content(path: Path) -> dict[str, Any]:
    """The JSON object in the record file at `path`, unchecked."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"cannot read record {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def parse_record(content: dict[str, Any], source: str) -> Record:
    """Checks `content` against the schema; `source` names it in errors.

    Raises:
        RecordError: a newer schema, or a field that is missing, unknown or of the wrong type.
    """
    version = content.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RecordError(
            f"{source}: schema version {version} is newer than this code's {SCHEMA_VERSION};"
            " update gti-bench"
        )
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(
            f"{source}: field {where}: {first['msg'].lower()} (found {first['input']!r:.80})"
        ) from error


def read_record(path: Path) -> Record:
    """Reads the record at `path` and checks its schema; `verify` checks the digest."""
    return parse_record(read_content(path), str(path))


def find_records(results: Path, setting: str | None = None) -> Iterator[Path]:
    """The record files under `results`, sorted; of one `setting`, those in its folder alone."""
    if setting is None:
        yield from sorted(results.glob("*/*/seed-*.json"))
    else:
        yield from sorted((results / setting).glob("*/seed-*.json"))


def write_record(path: Path, content: dict[str, Any]) -> Record:
    """Adds the digest to `content`, checks it, and writes it atomically as the cell's commit mark.

    `content` is the record as JSON-ready values without `digest`; the sidecars named in its
    `files` must already be in place.
    """
    record = parse_record({**content, "digest": "0" * 64}, str(path))
    canonical = json.loads(canonical_json(record.model_dump(mode="json")))
    canonical["digest"] = record_digest(canonical)
    write_atomically(path, readable_json(canonical))
    return parse_record(canonical, str(path))
