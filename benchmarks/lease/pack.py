"""At home: what a GPU machine without network needs for some settings, in pieces to copy there."""

import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs.catalogue import find_setting, setting_names, setting_path
from benchmarks.lease.pieces import MEBIBYTE, LeaseError, add_archive, begin_pieces
from benchmarks.machine.environment import describe_code
from benchmarks.machine.places import COMMITTED_RESULTS, PACKAGE, ROOT
from benchmarks.run.files_read import check_movable, files_read
from benchmarks.run.options import RunOptions
from benchmarks.run.run import planned_cells
from leaderboard.records.setting import Setting

RUNNER = "lease.pyz"
"""The runner in one file, beside the pieces: Python runs it before any of them is joined."""
_MODULES = ("__init__", "__main__", "pieces", "run")
IN_RUNNER = ("__init__.py", *(f"lease/{name}.py" for name in _MODULES))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a lease is for.

    Attributes:
        settings: names or files, in the order in which their cells run.
        methods: keys and groups, comma-separated.
        seeds: as "0,1,2"; null: each setting's own.
        results: a results directory whose records and checkpoints the run goes on from.
        wheels: a folder of wheels to install there.
        piece_bytes: of a piece, at most.
    """

    settings: list[str]
    methods: str
    seeds: str | None
    results: Path | None
    wheels: Path | None
    piece_bytes: int


def pack(wanted: Wanted, to: Path) -> int:
    """Writes pieces and runner into `to`; returns the exit code.

    Raises:
        LeaseError: the checkout has uncommitted changes, an input is not prepared or cannot be
            moved to another machine, no wheels.
        CommandError, SettingError: as `gti-bench run`.
    """
    code = describe_code()
    if code["commit"] is None or code["dirty"]:
        raise LeaseError(
            f"{ROOT} is no git checkout without uncommitted changes, and records name their"
            " commit; commit first"
        )
    if wanted.piece_bytes < MEBIBYTE:
        raise LeaseError(
            f"pieces of {wanted.piece_bytes} bytes are too small; give --mib 1 or more"
        )
    settings: list[Setting] = []
    inputs: dict[str, Path] = {}
    for name in wanted.settings:
        setting = find_setting(name).setting
        inputs |= _inputs_of(name, setting, wanted)
        if name not in setting_names():
            inputs[f"settings/{setting.name}.toml"] = setting_path(name)
        settings.append(setting)
    about = {
        "commit": code["commit"],
        "settings": [setting.name for setting in settings],
        "backbones": sorted({setting.backbone.name for setting in settings}),
        "methods": wanted.methods,
        "seeds": wanted.seeds,
        "piece_bytes": wanted.piece_bytes,
    }
    begin_pieces(to, about)
    with tempfile.TemporaryDirectory(dir=to) as scratch:
        clone = Path(scratch) / "code"
        _clone(clone)
        archives = {
            "code": {".": clone},
            "inputs": inputs,
            "results": _results_of(settings, wanted.results),
            "wheels": _wheels(wanted.wheels),
        }
        for name, files in archives.items():
            if files:
                count = add_archive(to, name, files, wanted.piece_bytes, squeeze=True)
                size = sum(path.stat().st_size for path in to.glob(f"{name}.[0-9]*"))
                print(f"{name:<8} {count:>3} pieces, {size / MEBIBYTE:.1f} MiB")
    _write_runner(to / RUNNER)
    print(f"copy {to} there, pieces in any order; then, with what is left of the lease,")
    print(f"  python {RUNNER} run --out OUT --minutes 12")
    return 0


def _inputs_of(name: str, setting: Setting, wanted: Wanted) -> dict[str, Path]:
    """What of cache and data the setting's cells read: path in the archive → place."""
    options = RunOptions(results=Path("results"), offline=True)
    check_movable(setting)
    cells = planned_cells(find_setting(name), wanted.methods, wanted.seeds, options)
    try:
        return files_read(setting, cells)
    except (RuntimeError, ValueError) as error:
        raise LeaseError(f"{error}; `gti-bench prepare {name}` comes first") from error


def _clone(place: Path) -> None:
    """The last commit alone, with its name, as a checkout."""
    command = ["git", "clone", "--quiet", "--depth", "1", "--no-tags", ROOT.as_uri(), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LeaseError(f"git cannot clone {ROOT}: {done.stderr.strip().splitlines()[-1]}")


def _results_of(settings: list[Setting], own: Path | None) -> dict[str, Path]:
    """Records of the settings, committed and in `own`, with what `own` has of cells under way."""
    names = [setting.name for setting in settings]
    if own is not None and not any((own / name).is_dir() for name in names):
        raise LeaseError(f"{own} has no results of {', '.join(names)}; name another, or none")
    found: dict[str, Path] = {}
    for results in [COMMITTED_RESULTS, *([own] if own is not None else [])]:
        folders = [results / name for name in names if (results / name).is_dir()]
        for folder in [*folders, results / "inputs"] if folders else []:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.suffix != ".running":
                    found.setdefault(path.relative_to(results).as_posix(), path)
    return found


def _wheels(folder: Path | None) -> dict[str, Path]:
    """The wheels in `folder`, by name."""
    found = {path.name: path for path in sorted(folder.glob("*.whl"))} if folder else {}
    if folder is not None and not found:
        raise LeaseError(f"{folder} holds no wheels; `pip download` puts them there")
    return found


def _write_runner(path: Path) -> None:
    """The runner's modules in one file that Python runs."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in IN_RUNNER:
            archive.write(PACKAGE / name, f"benchmarks/{name}")
        start = "import sys\nfrom benchmarks.lease.__main__ import main\nsys.exit(main())\n"
        archive.writestr("__main__.py", start)
