"""Random streams: one generator per (seed, purpose); no method can shift another's stream."""

import hashlib
from typing import Literal

import numpy as np
import torch

Purpose = Literal[
    "init",
    "resize",
    "grounding-order",
    "sft-order",
    "auxiliary-order",
    "auxiliary-wording",
    "adapters",
    "wording",
    "shuffle",
    "dropout",
    "validation-sample",
    "treatment",
    "rq-vae-init",
    "rq-vae-order",
    "rq-vae-dropout",
]


def stream_key(seed: int, purpose: Purpose) -> int:
    """A 63-bit key of (seed, purpose), the same on every machine."""
    digest = hashlib.sha256(f"gti-bench stream {purpose} {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_stream(seed: int, purpose: Purpose) -> np.random.Generator:
    """A NumPy generator for `purpose`: orders, draws of wordings, permutations."""
    return np.random.Generator(np.random.PCG64(stream_key(seed, purpose)))


def torch_stream(seed: int, purpose: Purpose) -> torch.Generator:
    """A CPU torch generator for `purpose`: initial rows are drawn on the CPU on every device."""
    return torch.Generator().manual_seed(stream_key(seed, purpose))
