"""Inputs that travel to a node: what is there stays, what is damaged is fetched again."""

from pathlib import Path

import pytest

from benchmarks.cluster.parcel import Parcel, ParcelFile, pack, unpack
from benchmarks.datasets.card import DATA_VARIABLE
from benchmarks.machine.cache import CacheError


@pytest.fixture
def parcel(tmp_path: Path) -> Parcel:
    """A folder of the cache, and a file of data; contents are their own names in the store."""
    folder, file = tmp_path / "home" / "weights", tmp_path / "home" / "items.json"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.bin").write_bytes(b"a" * 1000)
    (folder / "b.bin").write_bytes(b"b")
    file.write_text("{}", encoding="utf-8")
    return pack({"cache/backbones/x": folder, "data/tiny": file}, lambda content: content)


def test_what_is_missing_or_damaged_is_fetched_and_what_is_there_is_not(parcel, own_cache):
    fetched: list[bytes] = []

    def get(content: bytes) -> bytes:
        fetched.append(content)
        return content

    data = Path(unpack(parcel, get)[DATA_VARIABLE])
    assert (own_cache / "backbones" / "x" / "deep" / "a.bin").read_bytes() == b"a" * 1000
    assert (data / "tiny").read_text(encoding="utf-8") == "{}"
    assert data.is_relative_to(own_cache)
    assert len(fetched) == 3
    assert unpack(parcel, get) == {DATA_VARIABLE: str(data)}
    assert len(fetched) == 3
    (own_cache / "backbones" / "x" / "b.bin").write_bytes(b"c")
    unpack(parcel, get)
    assert fetched[3:] == [b"b"]
    assert (own_cache / "backbones" / "x" / "b.bin").read_bytes() == b"b"


def test_a_content_that_came_damaged_is_not_kept(parcel, own_cache):
    with pytest.raises(CacheError, match=r"cache/backbones/x/b\.bin came damaged"):
        unpack(parcel, lambda content: content + b"x")
    assert not list(own_cache.rglob("*.bin"))


@pytest.mark.parametrize("path", ["cache/../../x", "data/../x", "cache", ""])
def test_no_path_leads_out_of_the_cache(path, own_cache):
    parcel = Parcel((ParcelFile(path, "0" * 64, b""),))
    with pytest.raises(CacheError, match="is no path of an input"):
        unpack(parcel, lambda content: content)
    assert [p.name for p in own_cache.rglob("*") if p.suffix != ".lock"] == []
