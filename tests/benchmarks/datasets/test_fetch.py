"""Tests of fetching by a pinned hash; the network is a function in the test."""

import hashlib
import io
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from benchmarks.datasets.card import MissingDataError
from benchmarks.datasets.fetch import ML_1M, Download, fetched
from gti.data.dataset import DataError

CONTENT = b"some films"


@pytest.fixture
def asked(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were opened; the answer is always `CONTENT`."""
    addresses: list[str] = []

    def answer(url: str, timeout: float) -> io.BytesIO:
        assert timeout > 0
        addresses.append(url)
        return io.BytesIO(CONTENT)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    return addresses


def download(content: bytes = CONTENT) -> Download:
    return Download("x.zip", "https://example.org/x.zip", hashlib.sha256(content).hexdigest(), 1)


def test_fetched_once_and_then_found_offline(asked: list[str]) -> None:
    folder = fetched(download())
    assert (folder / "x.zip").read_bytes() == CONTENT
    assert fetched(download(), offline=True) == folder
    assert asked == ["https://example.org/x.zip"]


def test_another_file_than_the_pinned_one_is_not_used(asked: list[str]) -> None:
    with pytest.raises(DataError, match="another file than the pinned one: expected sha256"):
        fetched(download(b"other films"))
    with pytest.raises(MissingDataError, match="--offline forbids"):
        fetched(download(b"other films"), offline=True)
    assert len(asked) == 1


def test_a_network_that_fails_is_named(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(MissingDataError, match=r"could not fetch https://files\.grouplens.*route"):
        fetched(ML_1M)
