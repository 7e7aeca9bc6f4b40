"""Where two runs of one cell come from, and what between them may move a figure."""

from collections.abc import Iterator
from dataclasses import dataclass

from leaderboard.records.parts import Code, Environment
from leaderboard.records.record import Record

PLACES = (
    "instruction_set", "processor", "machine", "device", "driver", "threads", "dtype", "bfloat16",
)  # fmt: skip
"""Fields of an environment that can move floating-point sums, beside the packages."""


@dataclass(frozen=True)
class Origin:
    """What a run was made by and on.

    Attributes:
        code: version, commit, uncommitted changes.
        environment: machine and packages.
        method_version: of the method's own code.
        schema_version: of the record.
    """

    code: Code
    environment: Environment
    method_version: int
    schema_version: int


def origin_of(record: Record) -> Origin:
    """The origin of a recorded run."""
    return Origin(record.code, record.environment, record.method.version, record.schema_version)


def context(recorded: Origin, here: Origin, changed_files: int | None) -> tuple[str, ...]:
    """What is not as recorded, one line each; empty: the same bits are to be expected.

    Args:
        recorded: of the record.
        here: of the run that is to reproduce it.
        changed_files: files of code that differ between the two commits; null where unknown.
    """
    return (
        *_code_lines(recorded.code, here.code, changed_files),
        *_version_lines(recorded, here),
        *_environment_lines(recorded.environment, here.environment),
    )


def _code_lines(recorded: Code, here: Code, changed_files: int | None) -> Iterator[str]:
    """What of the code differs, or cannot be known."""
    if recorded.version != here.version:
        yield f"gti-bench {here.version}, recorded {recorded.version}"
    if recorded.commit is None or here.commit is None:
        yield f"commit {here.commit or 'unknown'}, recorded {recorded.commit or 'unknown'}"
    elif recorded.commit != here.commit and changed_files != 0:
        files = "changes unknown" if changed_files is None else f"{changed_files} files changed"
        yield f"commit {here.commit[:12]}, recorded {recorded.commit[:12]} ({files})"
    for code, which in ((recorded, "recorded with"), (here, "now")):
        if code.dirty:
            yield f"{which} uncommitted changes"
    if recorded.plain != here.plain:
        yield f"{_forms(here)} forms, recorded in {_forms(recorded)} ones"


def _forms(code: Code) -> str:
    """What to call the forms that ran."""
    return "plain" if code.plain else "fast"


def _version_lines(recorded: Origin, here: Origin) -> Iterator[str]:
    """Versions of the method and of the record's schema."""
    for name in ("method_version", "schema_version"):
        then, now = getattr(recorded, name), getattr(here, name)
        if then != now:
            yield f"{name.replace('_', ' ')} {now}, recorded {then}"


def _environment_lines(recorded: Environment, here: Environment) -> Iterator[str]:
    """What of machine and packages differs."""
    for name in PLACES:
        then, now = getattr(recorded, name), getattr(here, name)
        if then != now:
            yield f"{name.replace('_', ' ')} {now or 'unknown'}, recorded {then or 'unknown'}"
    for name in sorted(recorded.packages.keys() | here.packages.keys()):
        then, now = recorded.packages.get(name), here.packages.get(name)
        if then != now:
            yield f"{name} {now or 'absent'}, recorded {then or 'absent'}"
    if recorded.python.rpartition(".")[0] != here.python.rpartition(".")[0]:
        yield f"Python {here.python}, recorded {recorded.python}"
