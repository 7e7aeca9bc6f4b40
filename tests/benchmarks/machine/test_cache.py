"""Tests of the cache: whole or not at all, damage noticed, clear errors."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.machine.cache import (
    CacheError,
    cache_root,
    is_intact,
    publish_file,
    publish_folder,
    temporary_folder,
)

ABOUT = {"version": "1"}


def fill(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text("alpha")
    (folder / "b.txt").write_text("beta")


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.name.startswith("unfinished-")]


def test_root_is_the_variable_s(own_cache: Path) -> None:
    assert cache_root() == own_cache


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="XDG is for the others")
def test_root_follows_xdg_and_defaults_to_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GTI_BENCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "gti-bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "gti-bench"


def test_published_folder_is_whole_and_intact(own_cache: Path) -> None:
    folder = own_cache / "things" / "one"
    publish_folder(folder, ABOUT, fill)
    assert (folder / "deep" / "a.txt").read_text() == "alpha"
    assert is_intact(folder, ABOUT)
    assert not is_intact(folder, {"version": "2"})
    assert leftovers(own_cache) == []


def test_failing_fill_leaves_nothing(own_cache: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        publish_folder(own_cache / "one", ABOUT, fail)
    assert list(own_cache.iterdir()) == []


def test_killed_process_leaves_no_half_folder(own_cache: Path) -> None:
    script = """
import sys, time
from benchmarks.machine.cache import cache_root, publish_folder
def fill(folder):
    (folder / "a.txt").write_text("half")
    print("filling", flush=True)
    time.sleep(60)
publish_folder(cache_root() / "one", {"version": "1"}, fill)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "filling\n"
        process.kill()
    assert not (own_cache / "one").exists()
    publish_folder(own_cache / "one", ABOUT, fill)
    assert is_intact(own_cache / "one", ABOUT)


def test_day_old_leftovers_are_cleared_and_fresh_ones_kept(own_cache: Path) -> None:
    for name, age in (("unfinished-old", 48 * 3600), ("unfinished-new", 60)):
        (own_cache / name).mkdir(parents=True)
        then = time.time() - age
        os.utime(own_cache / name, (then, then))
    with temporary_folder():
        pass
    assert leftovers(own_cache) == ["unfinished-new"]


def test_folder_that_another_process_published_first_is_kept(own_cache: Path) -> None:
    destination = own_cache / "one"

    def overtaken(folder: Path) -> None:
        fill(folder)
        if not destination.exists():
            publish_folder(destination, ABOUT, fill)
            (destination / "first").touch()

    publish_folder(destination, ABOUT, overtaken)
    assert (destination / "first").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "stamp"])
def test_damage_is_noticed_and_repaired(own_cache: Path, damage: str) -> None:
    folder = own_cache / "one"
    publish_folder(folder, ABOUT, fill)
    victim = folder / "deep" / "a.txt"
    if damage == "cut":
        victim.write_text("alp")
    elif damage == "changed":
        victim.write_text("ALPHA")
    elif damage == "gone":
        victim.unlink()
    else:
        (folder / "stamp.json").write_text('{"about"')
    assert not is_intact(folder, ABOUT)
    publish_folder(folder, ABOUT, fill)
    assert is_intact(folder, ABOUT)
    assert victim.read_text() == "alpha"
    assert leftovers(own_cache) == []


def test_copied_folder_with_new_times_is_intact(own_cache: Path) -> None:
    publish_folder(own_cache / "one", ABOUT, fill)
    shutil.copytree(own_cache / "one", own_cache / "two", copy_function=shutil.copyfile)
    assert is_intact(own_cache / "two", ABOUT)


def test_unusable_cache_is_named_with_the_way_out(own_cache: Path) -> None:
    own_cache.write_text("a file where a folder should be")
    with pytest.raises(CacheError, match="GTI_BENCH_CACHE") as caught:
        publish_folder(own_cache / "one", ABOUT, fill)
    assert str(own_cache) in str(caught.value)


@pytest.mark.parametrize(
    ("number", "cause"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "cannot be written")],
)
def test_full_or_read_only_disk_is_said(own_cache: Path, number: int, cause: str) -> None:
    def fail(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(CacheError, match=cause):
        publish_folder(own_cache / "one", ABOUT, fail)
    assert list(own_cache.iterdir()) == []


def test_published_file_replaces_an_older_one(own_cache: Path) -> None:
    publish_file(own_cache / "deep" / "x.bin", b"one")
    publish_file(own_cache / "deep" / "x.bin", b"two")
    assert [path.read_bytes() for path in (own_cache / "deep").iterdir()] == [b"two"]
