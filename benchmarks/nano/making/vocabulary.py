"""nano's tokenizer and first embeddings, both cut from SmolLM2's."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import PreTrainedTokenizerFast

VOCAB_SIZE = 8192
END_OF_TEXT = "<|endoftext|>"


def cut_tokenizer(source: dict[str, Any], size: int) -> dict[str, Any]:
    """Keeps the first `size` entries of a byte-level BPE and the merges that stay within them.

    Args:
        source: the content of a `tokenizer.json`.
        size: entries to keep; the special tokens and the 256 bytes must be among them.

    Raises:
        ValueError: if a kept entry could not be reached by the kept merges.
    """
    vocab = {token: i for token, i in source["model"]["vocab"].items() if i < size}
    merges = []
    for merge in source["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if left in vocab and right in vocab and left + right in vocab:
            merges.append([left, right])
    special = [token for token in source["added_tokens"] if token["id"] < size]
    reached = {left + right for left, right in merges} | {token["content"] for token in special}
    lost = [token for token in vocab if token not in reached and len(token) > 1]
    if lost or sorted(vocab.values()) != list(range(size)):
        raise ValueError(f"the cut at {size} is not a tokenizer; unreachable: {lost[:5]}")
    cut = dict(source, added_tokens=special)
    cut["model"] = dict(source["model"], vocab=vocab, merges=merges)
    return cut


def write_tokenizer(smollm2: Path, target: Path) -> None:
    """Writes `tokenizer.json` and `tokenizer_config.json`; no chat template: nano is a base LM."""
    source = json.loads((smollm2 / "tokenizer.json").read_text("utf-8"))
    target.mkdir(parents=True, exist_ok=True)
    cut = json.dumps(cut_tokenizer(source, VOCAB_SIZE), ensure_ascii=False)
    (target / "tokenizer.json").write_text(cut, "utf-8")
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(target / "tokenizer.json"),
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(target)
    file = target / "tokenizer_config.json"
    config = json.loads(file.read_text("utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name older releases know too
    file.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def first_embeddings(smollm2: Path, width: int, std: float) -> torch.Tensor:
    """SmolLM2's first rows on their `width` main axes, scaled to a standard deviation.

    Args:
        smollm2: folder with SmolLM2's `model.safetensors`.
        width: number of principal components to keep.
        std: standard deviation of all entries of the result.

    Returns:
        `[VOCAB_SIZE, width]` float32.
    """
    with safe_open(str(smollm2 / "model.safetensors"), framework="pt") as file:
        rows = file.get_slice("model.embed_tokens.weight")[:VOCAB_SIZE].float()
    rows = rows - rows.mean(0)
    axes = torch.linalg.svd(rows.double(), full_matrices=False).Vh[:width]
    projected = (rows.double() @ axes.T).float()
    rotation = torch.linalg.qr(
        torch.randn(width, width, generator=torch.Generator().manual_seed(0))
    ).Q
    projected = projected @ rotation  # spreads the variance evenly over the coordinates
    scaled: torch.Tensor = projected * (std / projected.std())
    return scaled
