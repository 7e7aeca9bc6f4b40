"""The `Record`: what one cell (setting × method × seed) leaves behind, and how it is stored.

    <results>/<setting>/<method>/seed-<n>.json              the record, written last: commit mark
    <results>/<setting>/<method>/seed-<n>.ranks.parquet     counts from which every metric follows
    <results>/<setting>/<method>/seed-<n>.diagnostics.npz   spectra, cosines, words (no pickling)

Unknown values are null. Nothing that was not measured stands in a record.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from leaderboard.records.bounded import (
    MOST_JSON_BYTES,
    BoundsError,
    check_values,
    read_bounded,
)
from leaderboard.records.canonical import (
    canonical_json,
    digest_of,
    readable_json,
    write_atomically,
)
from leaderboard.records.facts import MethodFacts
from leaderboard.records.parts import (
    Budget,
    Code,
    Cost,
    CurvePoint,
    Environment,
    Files,
    Inputs,
    Manifest,
    Metrics,
    NameAccounting,
    ReferenceFit,
    Retention,
    SidAccounting,
    Spectrum,
    StageProof,
    Treatment,
)
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.specs import Frozen, Name, Sha256

SCHEMA_VERSION = 2
PROTOCOL_VERSION = "2"
"""Version of split, prompts, beam and metric definitions; scores of two protocols never mix."""


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
    """Null for references alone."""

    @model_validator(mode="after")
    def _facts_of_methods(self) -> Self:
        if (self.group == "reference") != (self.facts is None):
            raise ValueError("methods have facts, references have none")
        return self

    @model_validator(mode="after")
    def _check_contrasts(self) -> Self:
        for pair in self.facts.contrasts if self.facts else ():
            if self.key not in (pair.a, pair.b):
                raise ValueError(f"contrast {pair.a} − {pair.b} is none of method {self.key}")
        return self

    @property
    def hash(self) -> str:
        """sha256 of what can change a number: all but the words and the looks of the method."""
        content: dict[str, Any] = {
            "key": self.key,
            "version": self.version,
            "group": self.group,
            "spends": dict(sorted(self.spends.items())),
            "parameters": self.parameters.model_dump(mode="json"),
        }
        if self.facts is not None:
            content["stages"] = [*self.facts.stages, *self.facts.directions]
        if self.settings is not None:
            content["settings"] = self.settings
        return digest_of(content)


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
    treatment: Treatment | None = None
    retention: Retention | None = None
    cost: dict[str, Cost]
    budget: Budget | None
    fits: tuple[ReferenceFit, ...] | None = None
    names: NameAccounting | None = None
    """Of a reference that is a language model and names items in words; null for the rest."""
    environment: Environment
    inputs: Inputs
    code: Code
    files: Files
    warnings: tuple[str, ...]
    digest: Sha256

    @property
    def has_model(self) -> bool:
        """Whether a language model ranked the items: a cell's, or a reference's with names."""
        return self.kind == "cell" or self.names is not None


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
        text = read_bounded(path, MOST_JSON_BYTES).decode("utf-8")
    except OSError as error:
        raise RecordError(f"cannot read record {path}: {error.strerror}") from error
    except BoundsError as error:
        raise RecordError(f"cannot read record {path}: {error}") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not valid JSON: not UTF-8 (byte {error.start})") from error
    try:
        content = json.loads(text, object_pairs_hook=each_key_once)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: expected a JSON object, found {type(content).__name__}")
    try:
        check_values(content)
    except BoundsError as error:
        raise RecordError(f"{path}: {error}") from error
    return content


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of `pairs`: of a key that stands there twice, readers take one or the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def parse_record(content: dict[str, Any], source: str) -> Record:
    """Checks `content` against the schema; `source` names it in errors.

    Raises:
        RecordError: another schema, or a field that is missing, unknown or of the wrong type.
    """
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        way_out = "update gti-bench" if newer else "run the cell again"
        raise RecordError(
            f"{source}: schema version {version}, this code reads {SCHEMA_VERSION}; {way_out}"
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
