"""Files and modules that documents and docstrings name are there: no move leaves them stale."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = "gti|baselines|benchmarks|leaderboard"
FILE = re.compile(rf"(?<![\w/.~-])(?:{PACKAGES}|tests|docs)/[\w./-]+\.(?:py|md|toml|json|svg)\b")
MODULE = re.compile(rf"`((?:{PACKAGES})(?:\.\w+)+)`")
OTHERS = ("NAME", "gti/seed-", "gti.methods")
"""Parts of names that stand for any name, of records' keys, and the entry point group."""
RUNNABLE = re.compile(rf"-m ((?:{PACKAGES})(?:\.\w+)+)")


def texts() -> dict[str, str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.ini", ".ci/*"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in listed if "/." not in name}


@pytest.fixture(scope="module")
def everything() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    found = texts()
    assert {"README.md", "CONTRIBUTING.md", "tox.ini", "gti/method.py"} <= found.keys()
    return found


def names_module(dotted: str) -> bool:
    """Whether `dotted` is a module, or a name that stands in the longest module it begins with."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                rest = parts[end : end + 1]
                return all(re.search(rf"\b{name}\b", file.read_text("utf-8")) for name in rest)
    return False


def test_every_file_that_is_named_is_there(everything: dict[str, str]) -> None:
    wrong = [
        f"{name}: {found}"
        for name, text in everything.items()
        for found in FILE.findall(text)
        if not any(other in found for other in OTHERS) and not (ROOT / found).exists()
    ]
    assert wrong == []


def test_every_module_that_is_named_is_there(everything: dict[str, str]) -> None:
    wrong = [
        f"{name}: {found}"
        for name, text in everything.items()
        for found in [*MODULE.findall(text), *RUNNABLE.findall(text)]
        if found not in OTHERS and not names_module(found)
    ]
    assert wrong == []


def test_modules_that_are_run_by_name_can_be_found(everything: dict[str, str]) -> None:
    names = {found for text in everything.values() for found in RUNNABLE.findall(text)}
    assert "benchmarks.cell.worker" in names
    assert [name for name in sorted(names) if importlib.util.find_spec(name) is None] == []
