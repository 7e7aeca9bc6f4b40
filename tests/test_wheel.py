"""The built wheel, installed outside the clone, works and holds the data it needs."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_THE_WHEEL = {
    "benchmarks/cell/plain_english.txt",
    "benchmarks/settings/ml-100k-nano.toml",
    "benchmarks/nano/README.md",
    "benchmarks/nano/config.json",
    "benchmarks/nano/model.safetensors",
    "benchmarks/nano/tokenizer.json",
    "benchmarks/nano/tokenizer_config.json",
    "leaderboard/site/static/site.css",
    "leaderboard/site/static/site.js",
    "leaderboard/site/templates/base.html",
    "leaderboard/site/templates/setting.html",
}


def run(*command: str | Path, cwd: Path, expected: int = 0) -> str:
    """What a command prints; fails with its complaints unless it ends with `expected`."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expected, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the backend that the `test` extra brings: no network."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--no-index", "--disable-pip-version-check", "--wheel-dir", folder, ROOT),
        cwd=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment that holds the wheel.

    Its dependencies are the ones of the running environment, seen through a .pth file, from which
    the editable installation of the clone is kept out.
    """
    home = tmp_path_factory.mktemp("outside") / "env"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
    own = Path(paths["purelib"])
    run(
        *(sys.executable, "-m", "pip", "--python", home, "install", "--quiet", "--no-index"),
        *("--no-deps", "--disable-pip-version-check", wheel),
        cwd=home,
    )
    # A plain path adds the folder without reading the .pth files in it, so the clone stays out.
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Path(paths["scripts"])


def test_package_data_is_inside_and_what_belongs_to_the_clone_is_not(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= IN_THE_WHEEL
    for folder, suffix in (
        ("benchmarks/settings", "toml"),
        ("benchmarks/semantic_ids", "npz"),
        ("leaderboard/claims", "toml"),
        ("leaderboard/site/templates", "html"),
    ):
        here = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(f"*.{suffix}")}
        assert here <= names
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if ".dist-info" not in name} == {
        *("gti", "baselines", "benchmarks", "leaderboard"),
    }
    left_out = (
        "leaderboard/results",
        "benchmarks/perf",
        "benchmarks/lease",
        "benchmarks/nano/making",
    )
    assert [name for name in names if name.startswith(left_out)] == []
    assert [name for name in names if name.endswith((".pyc", ".orig"))] == []


def test_the_licence_and_the_notice_travel_along(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {
        "LICENSE",
        "NOTICE",
    }


def test_the_installed_code_is_the_wheels(scripts: Path, tmp_path: Path) -> None:
    python = next(path for path in scripts.iterdir() if path.stem == "python")
    code = "import benchmarks, leaderboard; print(benchmarks.__file__, leaderboard.__file__)"
    files = run(python, "-c", code, cwd=tmp_path).split()
    assert all(scripts.parent in Path(file).parents for file in files)


@pytest.mark.parametrize(
    "code",
    [
        "from benchmarks.machine.places import COMMITTED_RESULTS as folder, ROOT\n"
        "assert ROOT in folder.parents and not folder.exists(), folder\n"
        "assert (ROOT / 'benchmarks' / 'cell' / 'worker.py').is_file(), ROOT",
        "from benchmarks.inputs.catalogue import find_setting, setting_names\n"
        "assert all(find_setting(name).setting.name == name for name in setting_names())\n"
        "assert 'ml-100k-nano' in setting_names()",
        "from benchmarks.inputs.catalogue import find_setting\n"
        "from benchmarks.inputs.semantic_ids import find_semantic_ids\n"
        "sids, place = find_semantic_ids(find_setting('ml-100k-nano').setting, None, 0)\n"
        "assert place == 'committed' and sids.num_codes == 64",
        "from benchmarks.inputs.backbone_sizes import backbone_size\n"
        "assert backbone_size('nano') is not None",
        "from benchmarks.inputs.backbones import load_backbone\n"
        "assert load_backbone('nano', offline=True).weights_sha256",
        "from benchmarks.machine.environment import describe_code\n"
        "assert describe_code()['commit'] is None, describe_code()",
        "from benchmarks.cell.retention import pages\nassert len(pages()) > 5000",
        "from benchmarks.recbole.exchange import DRIVER\n"
        "from benchmarks.recbole.install import REQUIREMENTS\n"
        "assert DRIVER.is_file() and REQUIREMENTS.is_file()",
        "from leaderboard.claims.claims import load_claims\nassert len(load_claims()) > 5",
        "from leaderboard.site.build import STATIC\n"
        "from leaderboard.site.pages import TEMPLATES\n"
        "assert (STATIC / 'site.css').is_file() and (TEMPLATES / 'base.html').is_file()",
    ],
    ids=lambda code: code.split()[1].rpartition(".")[2],
)
def test_what_lies_beside_the_modules_is_found_outside_the_clone(
    code: str, scripts: Path, tmp_path: Path
) -> None:
    python = next(path for path in scripts.iterdir() if path.stem == "python")
    run(python, "-c", code, cwd=tmp_path)


def test_the_command_explains_itself(scripts: Path, tmp_path: Path) -> None:
    text = run(scripts / "gti-bench", "--help", cwd=tmp_path)
    assert all(verb in text for verb in ("list", "run", "table", "verify", "doctor"))


def test_settings_and_methods_are_found_outside_the_clone(scripts: Path, tmp_path: Path) -> None:
    settings = json.loads(run(scripts / "gti-bench", "list", "settings", "--json", cwd=tmp_path))
    assert "ml-100k-nano" in json.dumps(settings)
    methods = run(scripts / "gti-bench", "list", "methods", cwd=tmp_path)
    assert all(key in methods for key in ("gti", "lc_rec", "mean", "random"))


def test_verify_runs_outside_the_clone(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    found = json.loads(run(scripts / "gti-bench", "verify", "--json", cwd=tmp_path, expected=1))
    assert "no records" in json.dumps(found)
