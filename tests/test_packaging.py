"""The files that say what is installed agree with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [
        Requirement(text)
        for text in [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    ]


def test_every_requirement_has_an_exact_version_within_its_bounds() -> None:
    exact = pins()
    for requirement in requirements():
        assert requirement.name in exact
        assert requirement.specifier.contains(exact[requirement.name])


def test_the_core_needs_nothing_that_the_run_extra_brings() -> None:
    core = {Requirement(text).name for text in PROJECT["dependencies"]}
    run = {Requirement(text).name for text in PROJECT["optional-dependencies"]["run"]}
    assert core & run == set()
    assert "torch" in run


def test_the_lowest_versions_are_the_lower_bounds(tmp_path: Path) -> None:
    out = tmp_path / "lowest.txt"
    subprocess.run([sys.executable, ROOT / ".ci" / "lowest.py", out], check=True)
    found = dict(line.split("==") for line in out.read_text(encoding="utf-8").splitlines())
    assert found.pop("torch") == pins()["torch"]
    assert found == {
        requirement.name: str(requirement.specifier).removeprefix(">=")
        for requirement in requirements()
        if requirement.name != "torch"
    }


def test_the_pre_commit_hooks_use_the_pinned_ruff() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==([0-9.]+)", text)) == {pins()["ruff"]}


def test_the_citation_names_the_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)$", text, re.MULTILINE)[1] == PROJECT["version"]  # type: ignore[index]
