"""A `Finding`: one thing that is wrong with a record, in one line."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from leaderboard.records.canonical import printable

MOST_SHOWN = 400
"""Characters of a value in a finding."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        level: "error" where the record cannot be trusted, "warning" where it should be looked at.
        file: the file it is about.
        field: the field in it, dotted; empty for the file as a whole.
        found: what stands there.
        expected: what should.
    """

    level: Literal["error", "warning"]
    file: str
    field: str
    found: str
    expected: str

    def __str__(self) -> str:
        """The finding as one line."""
        place = f"{self.file}, {self.field}" if self.field else self.file
        return f"{self.level}: {place}: found {self.found}, expected {self.expected}"


def shown(value: Any) -> str:
    """`value` in one line, every digit of a number, long texts cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = printable(" ".join(text.split()))
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def findings_json(findings: list[Finding]) -> str:
    """`findings` as an indented JSON list."""
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False)


@dataclass
class Report:
    """Collects the findings about one file."""

    file: str
    findings: list[Finding]

    def error(self, field: str, found: Any, expected: Any) -> None:
        """Adds an error."""
        self.findings.append(Finding("error", self.file, field, shown(found), shown(expected)))

    def warn(self, field: str, found: Any, expected: Any) -> None:
        """Adds a warning."""
        self.findings.append(Finding("warning", self.file, field, shown(found), shown(expected)))

    def equal(self, field: str, found: Any, expected: Any) -> None:
        """Adds an error unless `found` equals `expected`."""
        if found != expected:
            self.error(field, found, expected)
