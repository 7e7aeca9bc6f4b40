"""The rates of a setting, written as text: `[sft]`, `[grounding]`, and the `[method.NAME]` tables.

Comments and order stay: lines are replaced where they stand, a new table goes to the end. What
comes out is parsed and compared with what was asked for before anything is written.
"""

import re
from collections.abc import Mapping
from typing import Literal

from leaderboard.records.setting import MethodParameters, SettingFile, parse_setting

HEADER = re.compile(r"^\s*\[")
ASSIGNMENT = re.compile(r"^\s*[A-Za-z_]+\s*=")
RATE = re.compile(r"^\s*learning_rate\s*=")

Values = Mapping[str, float]
Rates = Mapping[Literal["sft", "grounding"], float]


class MethodTableError(ValueError):
    """A file whose rates cannot be replaced as text; the message says what to do."""


def toml_number(value: float) -> str:
    """`value` as people write a rate: 1e-3, 5.6e-4, 2.2e-2, 0.5; reads back as the same number."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    short = f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if float(short) != value or 0.1 <= value < 1000:
        return repr(float(value))
    return short


def with_rates(text: str, rates: Rates, tables: Mapping[str, Values], source: str) -> str:
    """`text` with other shared rates and with the tables of the named methods set.

    Args:
        text: a setting file.
        rates: table → its learning rate; a line that changes loses the remark behind it.
        tables: method → key → value; an empty one takes the method's table away.
        source: names the file in errors.

    Raises:
        MethodTableError: the file holds its tables in a form that is not replaced.
    """
    before = parse_setting(text, source)
    lines = text.splitlines()
    for table, rate in rates.items():
        if getattr(before.setting, table).learning_rate != rate:
            lines = _with_rate(lines, table, rate)
    for method, values in tables.items():
        lines = _with_table(lines, method, values)
    changed = "\n".join(lines).rstrip("\n") + "\n"
    _check(before, changed, rates, tables, source)
    return changed


def _bounds(lines: list[str], name: str) -> tuple[int, int] | None:
    """The places of a table's header and of the next one; null where there is no such table."""
    dotted = r"\s*\.\s*".join(rf"""["']?{re.escape(part)}["']?""" for part in name.split(".", 1))
    header = re.compile(rf"^\s*\[\s*{dotted}\s*\]")
    start = next((place for place, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        return None
    end = start + 1
    while end < len(lines) and not HEADER.match(lines[end]):
        end += 1
    return start, end


def _with_rate(lines: list[str], table: str, rate: float) -> list[str]:
    """`lines` with the learning rate of one table replaced; as they are where it is not found."""
    start, end = _bounds(lines, table) or (0, 0)
    return [
        f"learning_rate = {toml_number(rate)}" if start < place < end and RATE.match(line) else line
        for place, line in enumerate(lines)
    ]


def _with_table(lines: list[str], method: str, values: Values) -> list[str]:
    """`lines` with one method's table replaced, taken away or added."""
    own = [f"{key} = {toml_number(value)}" for key, value in values.items()]
    bounds = _bounds(lines, f"method.{method}")
    if bounds is None:
        return [*lines, "", f"[method.{method}]", *own] if own else lines
    start, end = bounds
    rest = [line for line in lines[start + 1 : end] if not ASSIGNMENT.match(line)]
    kept = [lines[start], *own, *rest] if own else rest
    if not own:
        kept = [line for line in rest if line.strip()]  # its comments, without the gap it leaves
    return [*lines[:start], *kept, *lines[end:]]


def _check(
    before: SettingFile, text: str, rates: Rates, tables: Mapping[str, Values], source: str
) -> None:
    """The changed text holds the same setting but for the rates, and the tables asked for."""
    wanted = dict(before.methods)
    for method, values in tables.items():
        wanted[method] = MethodParameters(**dict(values))
    changes: dict[str, object] = {
        table: getattr(before.setting, table).model_copy(update={"learning_rate": rate})
        for table, rate in rates.items()
    }
    empty = MethodParameters()
    try:
        after = parse_setting(text, source)
        same = after.setting == before.setting.model_copy(update=changes) and {
            name: own for name, own in after.methods.items() if own != empty
        } == {name: own for name, own in wanted.items() if own != empty}
    except ValueError:
        same = False
    if not same:
        raise MethodTableError(
            f"{source}: cannot replace the rates of {', '.join((*rates, *tables))} as text; write"
            " them as tables of one `key = value` a line, or enter the values by hand"
        )
