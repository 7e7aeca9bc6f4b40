"""The runner alone, with a small made-up tree in place of the project's."""

import json
import zipfile

import pytest

from benchmarks.lease import run as run_module
from benchmarks.lease.__main__ import main
from benchmarks.lease.pieces import add_archive, begin_pieces
from benchmarks.lease.run import run_lease

ABOUT = {
    "settings": [],
    "backbones": ["nano"],
    "methods": "mean",
    "seeds": None,
    "piece_bytes": 999,
}


@pytest.fixture
def pieces(tmp_path):
    """`pieces(test, wheel)`: packed code with that one GPU test, and a wheel or none."""

    def make(test, wheel=None):
        folder = tmp_path / "code" / "tests"
        folder.mkdir(parents=True)
        (folder / "test_one.py").write_text(f"import pytest\npytestmark = pytest.mark.gpu\n{test}")
        (folder / "test_other.py").write_text("raise RuntimeError('not to be collected')")
        begin_pieces(tmp_path / "pieces", ABOUT)
        archives = {"code": {".": tmp_path / "code"}}
        if wheel is not None:
            archives["wheels"] = {wheel.name: wheel}
        for name, files in archives.items():
            add_archive(tmp_path / "pieces", name, files, 500, squeeze=True)
        return tmp_path / "pieces"

    return make


def steps_of(out):
    steps = json.loads((out / "summary.json").read_text())["steps"]
    return {step["name"]: step for step in steps}


def test_packed_wheels_are_found_by_what_runs(pieces, tmp_path):
    wheel = tmp_path / "lent_word-1.0-py3-none-any.whl"
    about = "lent_word-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("lent_word.py", "WORD = 'lent'\n")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: lent-word\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{about}/RECORD", "")
    test = "import lent_word\ndef test_it():\n    assert lent_word.WORD == 'lent'\n"
    out = tmp_path / "out"
    code = run_lease(pieces(test, wheel), out, 30, "cpu", steps=["tests"])
    logs = "".join(path.read_text() for path in sorted((out / "logs").iterdir()))
    assert code == 0, logs
    assert list(steps_of(out)) == ["join", "wheels", "tests"]
    assert "1 passed" in logs


def test_a_step_at_its_limit_is_ended_and_what_follows_still_runs(pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(run_module, "TESTS_SHARE", 1e-4)
    test = "import time\ndef test_it():\n    time.sleep(900)\n"
    out = tmp_path / "out"
    assert run_lease(pieces(test), out, 60, "cpu", steps=["tests", "perf"]) == 1
    steps = steps_of(out)
    assert steps["tests"]["cut"] is True
    assert steps["perf"]["cut"] is False
    assert steps["perf"]["exit"] == 4  # pytest: there is no such file
    assert (out / "home" / "records.000").exists()


@pytest.mark.parametrize(
    "wrong",
    [("--minutes", "0"), ("--minutes", "nan"), ("--minutes", "inf"), ("--workers", "0")],
)
def test_numbers_that_are_none_are_refused_before_anything_is_done(tmp_path, capsys, wrong):
    given = {"--out": str(tmp_path / "out"), "--minutes": "5"} | dict([wrong])
    with pytest.raises(SystemExit) as ended:
        main(["run", *(word for pair in given.items() for word in pair)])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert wrong[0] in line
    assert f"number above 0, found '{wrong[1]}'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mib", ["nan", "inf", "-1"])
def test_a_size_of_pieces_that_is_none_is_refused(tmp_path, capsys, mib):
    with pytest.raises(SystemExit):
        main(["pack", "ml-100k-nano", "--to", str(tmp_path), "--mib", mib])
    assert f"takes a number above 0, found '{mib}'" in capsys.readouterr().err
