"""Numbers reported elsewhere, as data: one file per published table and dataset in `claims/`.

A file says where the numbers stand, on which cut of which data and under which split they were
obtained, what to bear in mind, and with which of our settings they may be compared; or why with
none. `leaderboard.claims.support` works out what the numbers support by themselves,
`leaderboard.claims.against_ours` sets them beside ours.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from leaderboard.metrics.metrics import is_loss, parse_metric
from leaderboard.records.specs import Frozen, Name

CLAIMS = Path(__file__).parent
"""The files; package data."""


class ClaimsError(ValueError):
    """A claims file that cannot be used; the message names the file, the field and the value."""


class Counts(Frozen):
    """How many were scored, so that shares of hits can be tested.

    Args:
        users: scored.
        prompts: rankings per user, over which the share of hits is a mean.
        basis: whether the source says so, or it was worked out from the numbers.
        users_of_data: users in the data before any filter: more cannot have been scored.
    """

    users: Annotated[int, Field(ge=2)]
    prompts: Annotated[int, Field(ge=1)]
    basis: Literal["stated", "inferred"]
    users_of_data: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> Self:
        if self.users > self.users_of_data:
            raise ValueError("users cannot be more than users_of_data")
        return self


class Reported(Frozen):
    """One row of a published table.

    Args:
        name: the method as it is called there.
        method: the same method or reference here; null where there is none.
        method_in: setting → the method there, where it is another than `method`.
        why_not: why there is none.
        base: the row that gains are relative to; null for scores.
        values: metric → what is reported; gains are in per cent.
    """

    name: str
    method: Name | None = None
    method_in: dict[Name, Name] = Field(default_factory=dict)
    why_not: str | None = None
    base: str | None = None
    values: dict[str, float]

    @model_validator(mode="after")
    def _known_metrics(self) -> Self:
        if not self.values:
            raise ValueError("values names no metric")
        for metric in self.values:
            parse_metric(metric)
        if self.method is not None and self.why_not is not None:
            raise ValueError("method and why_not exclude each other")
        if self.method is None and self.method_in:
            raise ValueError("method_in goes with method, which holds for the other settings")
        return self

    def method_of(self, setting: str) -> str | None:
        """The same method or reference in `setting`; null where there is none."""
        return self.method_in.get(setting, self.method)


class ClaimsFile(Frozen):
    """One published table on one dataset.

    Args:
        title: for headings.
        source: the publication and where in it.
        unit: scores, or gains in per cent of another row's unpublished score.
        track: of next-item recommendation (users) or retrieval by queries.
        dataset: the data.
        cut: which part of it, how filtered.
        split: how targets were held out.
        decimals: to which figures are rounded.
        settings: of ours, those whose scores may be compared; all of them are tried.
        why_not: why with none; null where settings are named.
        counts: how many were scored; null where unknown.
        caveats: what to bear in mind, one sentence each.
        comparisons: pairs of rows (better first, as reported) whose difference is a claim.
        rows: the numbers.
    """

    title: str
    source: str
    unit: Literal["score", "gain in %"]
    track: Literal["users", "queries"]
    dataset: str
    cut: str
    split: str
    decimals: Annotated[int, Field(ge=1, le=8)]
    settings: tuple[Name, ...] = ()
    why_not: str | None = None
    counts: Counts | None = None
    caveats: tuple[str, ...]
    comparisons: tuple[tuple[str, str], ...] = ()
    rows: Annotated[tuple[Reported, ...], Field(alias="row", min_length=1)]

    @model_validator(mode="after")
    def _comparable_or_a_reason(self) -> Self:
        if bool(self.settings) == (self.why_not is not None):
            raise ValueError("name settings to compare with, or give why_not")
        for row in self.rows:
            if self.settings and row.method is None and row.why_not is None:
                raise ValueError(f"row {row.name!r} needs a method of ours, or why_not")
            unnamed = sorted(set(row.method_in) - set(self.settings))
            if unnamed:
                raise ValueError(f"row {row.name!r}: method_in names {unnamed[0]!r}, no setting")
        return self

    @model_validator(mode="after")
    def _rows_fit_the_unit(self) -> Self:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError("two rows of one name")
        for row in self.rows:
            if (self.unit == "gain in %") != (row.base is not None):
                raise ValueError(f"row {row.name!r}: gains have a base, scores have none")
            if self.unit == "score":
                for metric, value in row.values.items():
                    if value < 0 or (value > 1 and not is_loss(metric)):
                        raise ValueError(f"row {row.name!r}: a score lies between 0 and 1")
        if self.unit == "gain in %" and (self.settings or self.comparisons):
            raise ValueError("gains over an unpublished score cannot be set beside scores")
        for name in (name for pair in self.comparisons for name in pair):
            if name not in names:
                raise ValueError(f"comparisons name {name!r}, which is no row")
        return self

    def row(self, name: str) -> Reported:
        """The row called `name`."""
        return next(row for row in self.rows if row.name == name)


@dataclass(frozen=True)
class Claim:
    """One reported number.

    Args:
        name: the row.
        base: the row it is compared with; None for a score.
        metric: its name here.
        value: score, difference of scores, or gain in per cent.
        rounding: the most that rounding in print can have moved it.
    """

    name: str
    base: str | None
    metric: str
    value: float
    rounding: float


@dataclass(frozen=True)
class ClaimsTable:
    """A claims file and its name."""

    key: str
    file: ClaimsFile

    def claims(self) -> list[Claim]:
        """Every number of the table, then every difference of the declared comparisons."""
        half = 0.5 * 10.0**-self.file.decimals
        found = [
            Claim(row.name, row.base, metric, value, half)
            for row in self.file.rows
            for metric, value in row.values.items()
        ]
        for one, two in self.file.comparisons:
            left, right = self.file.row(one).values, self.file.row(two).values
            found += [
                Claim(
                    one,
                    two,
                    metric,
                    round(left[metric] - right[metric], self.file.decimals),
                    2 * half,
                )
                for metric in left
                if metric in right
            ]
        return found


def parse_claims(text: str, key: str) -> ClaimsTable:
    """Parses the TOML `text` of the claims called `key`.

    Raises:
        ClaimsError: malformed TOML, an unknown or missing key, or a value out of range.
    """
    try:
        content: dict[str, Any] = tomllib.loads(text)
        return ClaimsTable(key, ClaimsFile.model_validate(content))
    except tomllib.TOMLDecodeError as error:
        raise ClaimsError(f"claims {key}: not valid TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg'].lower()}"
            f" (found {item['input']!r:.80})"
            for item in error.errors()
        )
        raise ClaimsError(f"claims {key}: {problems}") from error


def load_claims(folder: Path = CLAIMS) -> list[ClaimsTable]:
    """All claims files in `folder`, in order of name."""
    return [
        parse_claims(path.read_text(encoding="utf-8"), path.stem)
        for path in sorted(folder.glob("*.toml"))
    ]
