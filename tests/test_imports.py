"""Imports point one way, between packages and between rooms, as CONTRIBUTING's map shows them.

A room is a folder of a package, or a module that lies at the package's top.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from leaderboard.verify.verify import verify

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "gti": {"gti"},
    "baselines": {"baselines", "gti"},
    "benchmarks": {"benchmarks", "baselines", "gti", "leaderboard"},
    "leaderboard": {"leaderboard"},
}
RUN_EXTRA = {
    "torch", "transformers", "tokenizers", "safetensors", "faiss", "gguf", "peft", "datasets",
    "sentence_transformers",
}  # fmt: skip
DRAWING = {"altair", "vl_convert", "PIL"}
EMPTY = {"table": ["--results", "."], "verify": ["."]}
LIGHT = [
    "leaderboard.board.board",
    "leaderboard.verify.verify",
    "leaderboard.render.board_tables",
    "leaderboard.records.setting",
]


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            assert node.module is not None
            yield node.lineno, node.module


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(file: Path) -> str:
    """The folder of a module, or the module itself where it lies at its package's top."""
    place = file.relative_to(ROOT)
    return place.as_posix() if len(place.parts) == 2 else f"{place.parent.as_posix()}/"


@pytest.fixture(scope="module")
def imports() -> dict[Path, set[Path]]:
    """Module → the project's modules that it imports, those for type checkers included."""
    files = [file for package in ALLOWED for file in modules_of(package)]
    by_name = {name_of(file): file for file in files}
    found: dict[Path, set[Path]] = {}
    for file in files:
        names = {name for _, name in imported(file)} | set(imported_names(file))
        found[file] = {by_name[name] for name in names if name in by_name} - {file}
    return found


def imported_names(file: Path) -> Iterator[str]:
    """`a.b.c` of each `from a.b import c`: c may be a module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def map_of_rooms() -> dict[str, str]:
    """Room → what CONTRIBUTING says is in it, in its order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", text, re.MULTILINE))


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that stand in memory after `statement` in a fresh interpreter."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_among_the_packages_point_one_way(package: str) -> None:
    files = modules_of(package)
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for line, name in imported(file)
        if name.partition(".")[0] in ALLOWED.keys() - ALLOWED[package]
    ]
    assert wrong == []


def test_no_module_stands_in_a_circle_of_imports(imports: dict[Path, set[Path]]) -> None:
    names = {name_of(file): {name_of(each) for each in used} for file, used in imports.items()}
    try:
        tuple(TopologicalSorter(names).static_order())
    except CycleError as circle:
        pytest.fail(f"a circle: {' -> '.join(circle.args[1])}")


def test_rooms_import_only_from_rooms_above_them_on_the_map(
    imports: dict[Path, set[Path]],
) -> None:
    place = {room: number for number, room in enumerate(map_of_rooms())}
    wrong = [
        f"{name_of(file)} imports {name_of(used)}"
        for file, all_used in imports.items()
        for used in all_used
        if {room_of(file), room_of(used)} <= place.keys()
        if file.relative_to(ROOT).parts[0] == used.relative_to(ROOT).parts[0]
        if place[room_of(file)] < place[room_of(used)]
    ]
    assert wrong == []


def test_every_room_is_on_the_map_with_its_own_words_and_every_room_there_exists(
    imports: dict[Path, set[Path]],
) -> None:
    told = map_of_rooms()
    own = {
        room_of(file)
        for file in imports
        if len(file.relative_to(ROOT).parts) > 2 or file.name != "__init__.py"
    }
    methods = {room for room in own if room.startswith("baselines/")} - {"baselines/registry.py"}
    assert set(told) == own - methods
    for room, words in told.items():
        file = ROOT / (f"{room}__init__.py" if room.endswith("/") else room)
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        assert docstring is not None, room
        assert docstring.partition("\n")[0] == words


def test_the_leaderboard_names_nothing_of_the_run_extra() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in modules_of("leaderboard")
        for line, name in imported(file)
        if name.partition(".")[0] in RUN_EXTRA
    ]
    assert wrong == []


def test_no_import_of_one_module_by_text_goes_round_the_rule() -> None:
    """`importlib` can hide an import from the parser: only the registry of methods may use it."""
    users = [
        str(file.relative_to(ROOT))
        for package in ALLOWED
        for file in modules_of(package)
        for _, name in imported(file)
        if name == "importlib"
    ]
    assert users == ["baselines/registry.py"]


def test_every_module_of_the_leaderboard_loads_without_the_run_extra() -> None:
    names = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in modules_of("leaderboard")
        if file.name != "__init__.py"
    ]
    assert set(LIGHT) <= set(names)
    found = loaded_by("\n".join(f"import {name}" for name in names))
    assert found & (RUN_EXTRA | {"gti", "baselines", "benchmarks"}) == set()


def test_the_command_line_starts_without_heavy_modules() -> None:
    found = loaded_by("import benchmarks.cli.app")
    assert found & (RUN_EXTRA | DRAWING | {"scipy", "pyarrow"}) == set()


@pytest.mark.parametrize("verb", ["table", "verify"])
def test_what_draws_nothing_does_not_load_what_draws(verb: str, tmp_path: Path) -> None:
    run = f"from benchmarks.cli.app import exit_code\nexit_code({[verb, *EMPTY[verb]]!r})\n"
    code = f"import contextlib, io, os\nos.chdir({str(tmp_path)!r})\n"
    found = loaded_by(f"{code}with contextlib.redirect_stdout(io.StringIO()):\n{indent(run)}")
    assert "leaderboard" in found
    assert found & DRAWING == set()


def test_verify_loads_nothing_of_the_run_extra(tmp_path: Path) -> None:
    run = (
        "from benchmarks.cli.app import exit_code\n"
        f"assert exit_code(['verify', {str(tmp_path)!r}, '--json']) == 1\n"
    )
    code = f"import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n{indent(run)}"
    found = loaded_by(code)
    assert "leaderboard" in found
    assert found & RUN_EXTRA == set()


WITHOUT_TORCH = """
import sys

class Missing:
    def find_spec(self, name, *_):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Missing())
"""


def test_made_up_records_are_written_without_the_run_extra(tmp_path: Path) -> None:
    found = loaded_by(
        f"{WITHOUT_TORCH}from pathlib import Path\n"
        "from benchmarks.perf.honest_records.writer import RecordWriter\n"
        f"RecordWriter(Path({str(tmp_path)!r})).board()"
    )
    assert len(list(tmp_path.glob("toy/*/seed-*.json"))) == 14
    assert found & RUN_EXTRA == set()
    assert verify(tmp_path) == []


def indent(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
