"""The `[method.NAME]` tables of a setting: checked against the methods, and written as text.

Comments and order stay: a table's own lines are replaced where it stands, a new one goes to the
end. What comes out is parsed and compared with what was asked for before anything is written.
"""

import re
from collections.abc import Mapping

from leaderboard.records.setting import MethodParameters, SettingFile, parse_setting

HEADER = re.compile(r"^\s*\[")
ASSIGNMENT = re.compile(r"^\s*[A-Za-z_]+\s*=")

Values = Mapping[str, float]


class MethodTableError(ValueError):
    """A file whose method tables cannot be replaced as text; the message says what to do."""


def toml_number(value: float) -> str:
    """`value` as people write a rate: 1e-3, 5.6e-4, 2.2e-2, 0.5; reads back as the same number."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    short = f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if float(short) != value or 0.1 <= value < 1000:
        return repr(float(value))
    return short


def with_method_tables(text: str, tables: Mapping[str, Values], source: str) -> str:
    """`text` with the tables of the named methods set to the given values.

    Args:
        text: a setting file.
        tables: method → key → value; an empty one takes the method's table away.
        source: names the file in errors.

    Raises:
        MethodTableError: the file holds its method tables in a form that is not replaced.
    """
    before = parse_setting(text, source)
    lines = text.splitlines()
    for method, values in tables.items():
        lines = _with_table(lines, method, values)
    changed = "\n".join(lines).rstrip("\n") + "\n"
    _check(before, changed, tables, source)
    return changed


def _with_table(lines: list[str], method: str, values: Values) -> list[str]:
    """`lines` with one method's table replaced, taken away or added."""
    own = [f"{key} = {toml_number(value)}" for key, value in values.items()]
    header = re.compile(rf"""^\s*\[\s*method\s*\.\s*["']?{re.escape(method)}["']?\s*\]""")
    start = next((place for place, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        return [*lines, "", f"[method.{method}]", *own] if own else lines
    end = start + 1
    while end < len(lines) and not HEADER.match(lines[end]):
        end += 1
    rest = [line for line in lines[start + 1 : end] if not ASSIGNMENT.match(line)]
    kept = [lines[start], *own, *rest] if own else rest
    if not own:
        kept = [line for line in rest if line.strip()]  # its comments, without the gap it leaves
    return [*lines[:start], *kept, *lines[end:]]


def _check(before: SettingFile, text: str, tables: Mapping[str, Values], source: str) -> None:
    """The changed text holds the same setting and the tables that were asked for."""
    wanted = dict(before.methods)
    for method, values in tables.items():
        wanted[method] = MethodParameters(**dict(values))
    empty = MethodParameters()
    try:
        after = parse_setting(text, source)
        same = after.setting == before.setting and {
            name: own for name, own in after.methods.items() if own != empty
        } == {name: own for name, own in wanted.items() if own != empty}
    except ValueError:
        same = False
    if not same:
        raise MethodTableError(
            f"{source}: cannot replace the tables of {', '.join(tables)} as text; write them as"
            " [method.NAME] tables of one `key = value` a line, or enter the values by hand"
        )
