"""Documents to fixed windows of token ids, the form in which nano trains."""

import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.nano.making.text import documents

END_OF_TEXT_ID = 0
SHORTEST_REST = 48


def encode_variant(corpora: Path, tokenizer: Path, variant: int) -> list[NDArray[np.uint16]]:
    """All training documents of one draw of wordings, shuffled, each as token ids."""
    encoder = Tokenizer.from_file(str(tokenizer))
    texts = [document.text for document in documents(corpora, variant, held_out=False)]
    random.Random(f"nano-order-{variant}").shuffle(texts)
    encoded: list[NDArray[np.uint16]] = []
    for start in range(0, len(texts), 4096):
        batch = encoder.encode_batch(texts[start : start + 4096])
        encoded += [np.array(item.ids, dtype=np.uint16) for item in batch]
    return encoded


def pack(encoded: list[NDArray[np.uint16]], length: int) -> NDArray[np.uint16]:
    """Fills windows with documents, each ended by the end-of-text token.

    A window begins with the start of a document, or with the rest of the last one where that
    is long enough to be worth keeping; short rests are dropped.

    Returns:
        `[windows, length]` uint16; the last, unfilled window is left out.
    """
    windows: list[NDArray[np.uint16]] = []
    current = np.empty(length, dtype=np.uint16)
    filled = 0
    for ids in encoded:
        rest = np.append(ids, np.uint16(END_OF_TEXT_ID))
        while len(rest):
            taken = min(length - filled, len(rest))
            current[filled : filled + taken] = rest[:taken]
            filled += taken
            rest = rest[taken:]
            if filled == length:
                windows.append(current)
                current = np.empty(length, dtype=np.uint16)
                filled = 0
                if len(rest) < SHORTEST_REST:
                    break
    return np.stack(windows)


def windows_of(cache: Path, corpora: Path, tokenizer: Path, variant: int) -> Path:
    """Packs one variant into windows of 513 ids (input and next token), once, on disk."""
    file = cache / f"windows-{variant}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        packed = pack(encode_variant(corpora, tokenizer, variant), 513)
        np.save(file, packed, allow_pickle=False)
    return file
