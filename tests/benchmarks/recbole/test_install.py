"""Tests of the making of RecBole's environment, without making one."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.recbole import install as module
from benchmarks.recbole.install import REQUIREMENTS, STAMP, install, interpreter


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip is asked for; it always succeeds."""
    made: list[list[str]] = []

    def run(arguments, check):
        made.append(arguments)
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(module.subprocess, "run", run)
    return made


def test_the_environment_is_made_once(tmp_path: Path, calls: list[list[str]]) -> None:
    folder = tmp_path / "env"
    assert install(folder)
    assert [call[-1] for call in calls] == [str(REQUIREMENTS), "recbole==1.2.1"]
    assert calls[1][-2] == "--no-deps"
    assert interpreter(folder).exists()
    assert not install(folder)
    assert len(calls) == 2


def test_other_pins_make_it_anew(tmp_path: Path, calls: list[list[str]]) -> None:
    install(tmp_path / "env")
    (tmp_path / "env" / STAMP).write_text("another", encoding="utf-8")
    assert install(tmp_path / "env")


def test_a_failed_installation_leaves_no_stamp(tmp_path: Path, monkeypatch) -> None:
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match="pip could not install"):
        install(tmp_path / "env")
    assert not (tmp_path / "env" / STAMP).exists()


def test_a_python_without_wheels_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PYTHONS", ((3, 8),))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or 3\.12"):
        install(tmp_path / "env")


def test_every_requirement_is_pinned() -> None:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
