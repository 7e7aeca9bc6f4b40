"""Shared fixtures of the benchmarks' tests: an own cache, and real assets where they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.assets import ASSETS, AssetError, asset_folder
from benchmarks.cache import CACHE_VARIABLE, CacheError, cache_root, is_intact


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for this test alone."""
    root = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(root))
    return root


@pytest.fixture(scope="session")
def movielens_folder() -> Path:
    """MovieLens-100K's files, fetched once into the machine's own cache (2 MB)."""
    try:
        return asset_folder("ml-100k")
    except (AssetError, CacheError) as error:
        pytest.skip(f"MovieLens-100K cannot be had here: {error}")


@pytest.fixture(scope="session")
def asset_in_cache() -> Callable[[str], Path]:
    """Skips a test unless a large asset is in the machine's cache already; never fetches one."""

    def folder(name: str) -> Path:
        asset = ASSETS[name]
        if not (is_intact(asset.folder, asset.about) or asset.placed_wheel.is_file()):
            pytest.skip(f"{asset.wheel} is not in the cache {cache_root()}")
        return asset_folder(name, offline=True)

    return folder
