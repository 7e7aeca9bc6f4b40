"""The `Reproduction`: what `gti-bench rerun` found, one JSON line each, beside the record.

    <results>/<setting>/<method>/seed-<n>.reproductions.jsonl

A line names the digest of the record that was run again: it says nothing of another record that
may come to lie in its place. Lines are claims of those who ran it, with their machine and code;
`verify` checks what follows from the record (`leaderboard.verify.reproductions`).
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from leaderboard.records.bounded import (
    MOST_JSON_BYTES,
    BoundsError,
    check_values,
    read_bounded,
)
from leaderboard.records.canonical import canonical_json, write_atomically
from leaderboard.records.parts import Code, Environment
from leaderboard.records.record import RecordError, each_key_once
from leaderboard.records.specs import Frozen, Sha256

REPRODUCTION_SCHEMA_VERSION = 1
LONGEST_NAME = 200

Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
"""UTC, to the second."""

Outcome = Literal["exact", "equivalent", "different", "undecided"]
"""Given by `leaderboard.statistics.agreement`, which is slow to import."""


class Scores(Frozen):
    """The main score: as recorded, and of the run that was to reproduce it."""

    metric: str
    recorded: float | None
    again: float | None


class ScoreBand(Frozen):
    """An interval in which one more run would lie (`leaderboard.statistics.agreement.Band`)."""

    center: float
    half_width: Annotated[float, Field(ge=0)]


class SeedSpread(Frozen):
    """What an inexact run was judged by (`leaderboard.statistics.agreement.Spread`)."""

    seeds: tuple[int, ...]
    recorded: ScoreBand
    swapped: ScoreBand


class Reproduction(Frozen):
    """One run of a recorded cell, and how it compares.

    Attributes:
        schema_version: of this line.
        record: digest of the record that was run again.
        who: the name given with `--by`; null where none was.
        when: the moment of the comparison.
        outcome: "exact", "equivalent", "different", or "undecided": not exact, and too few seeds.
        differing: fields that an exact reproduction has equal and this one has not.
        context: what was not as recorded: code, versions, instruction set, device.
        scores: the main score twice.
        spread: what "equivalent" was judged by; null where it was not, or could not be.
        num_rows: rows of the recorded ranks.
        same_rows: of these, those that are the same.
        ranks_sha256: of the new run's ranks (content,
            `leaderboard.statistics.agreement.ranks_sha256`).
        new_rows_sha256: of the new run's rows after the last stage; null for references.
        environment: where it ran.
        code: with which code.
        seconds: of all its stages.
    """

    schema_version: int
    record: Sha256
    who: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] | None
    when: Moment
    outcome: Outcome
    differing: tuple[str, ...]
    context: tuple[str, ...]
    scores: Scores
    spread: SeedSpread | None
    num_rows: Annotated[int, Field(ge=0)]
    same_rows: Annotated[int, Field(ge=0)]
    ranks_sha256: Sha256
    new_rows_sha256: Sha256 | None
    environment: Environment
    code: Code
    seconds: Annotated[float, Field(ge=0)]

    @property
    def exact(self) -> bool:
        """Whether it is the recorded run, bit for bit."""
        return self.outcome == "exact"


def reproductions_path(record: Path) -> Path:
    """The file of reproductions beside the record file `record`."""
    return record.with_name(f"{record.stem}.reproductions.jsonl")


def parse_reproduction(line: str, source: str) -> Reproduction:
    """One line of a reproductions file; `source` names it in errors.

    Raises:
        RecordError: no JSON, a newer schema, or a field that is missing, unknown or wrong.
    """
    try:
        content = json.loads(line, object_pairs_hook=each_key_once)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{source}: not valid JSON: {error}") from error
    try:
        check_values(content)
    except BoundsError as error:
        raise RecordError(f"{source}: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > REPRODUCTION_SCHEMA_VERSION:
        raise RecordError(
            f"{source}: schema version {version} is newer than this code's"
            f" {REPRODUCTION_SCHEMA_VERSION}; update gti-bench"
        )
    try:
        # Strictly: a number written as a text is a text to other readers.
        return Reproduction.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "(line)"
        raise RecordError(
            f"{source}: field {where}: {first['msg'].lower()} (found {first['input']!r:.80})"
        ) from error


def reproduction_lines(record: Path) -> list[str]:
    """The lines beside the record file `record`, unread; none where there is no file.

    Raises:
        RecordError: the file cannot be read.
    """
    path = reproductions_path(record)
    try:
        text = read_bounded(path, MOST_JSON_BYTES).decode("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, BoundsError) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    # Not splitlines, which also cuts at signs that JSON leaves as they are (U+2028).
    return [line for line in text.split("\n") if line.strip()]


def read_reproductions(record: Path, digest: str) -> list[Reproduction]:
    """The reproductions of the record at `record` with that `digest`, oldest first.

    Lines that cannot be read or refer to another record are left out; `verify` names them.
    """
    found = []
    try:
        lines = reproduction_lines(record)
    except RecordError:
        return []
    for line in lines:
        try:
            found.append(parse_reproduction(line, str(record)))
        except RecordError:
            continue
    return [each for each in found if each.record == digest]


def append_reproduction(record: Path, reproduction: Reproduction) -> Path:
    """Adds a line beside the record file `record`: all of it or nothing; returns the file."""
    path = reproductions_path(record)
    lines = reproduction_lines(record)
    lines.append(canonical_json(reproduction.model_dump(mode="json")).decode())
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    return path
