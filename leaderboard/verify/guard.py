"""The guard that each check of a record runs behind.

Whoever writes a record chooses its values, and a check that expects sense of them may fail over
them. That is a finding about this record: the other checks and the other records are read all the
same.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from leaderboard.records.cells import described
from leaderboard.verify.findings import Report

Arguments = ParamSpec("Arguments")
Found = TypeVar("Found")


def guarded(
    report: Report,
    check: Callable[Arguments, Found],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Found | None:
    """What `check` returns; null, and an error in `report`, where it fails over the record."""
    try:
        return check(*arguments, **named)
    except Exception as error:  # whatever a stranger's values make of our arithmetic
        name = check.__name__.removeprefix("check_").replace("_", " ")
        report.error(
            f"({name})", f"values it fails over ({described(error)})", "values that a run can leave"
        )
        return None
