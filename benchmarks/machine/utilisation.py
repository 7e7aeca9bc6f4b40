"""How many FLOP/s a device could do, for the share of them that a training stage reached.

Utilisation is actual FLOPs (`gti.model.flops`: no padding, the head at answers alone, what prompts
share once) over seconds times that rate. On a CPU the rate is that of a matrix product, measured on
the threads of this process before and after every training stage, the largest so far: what else the
machine does can only lower one. On a GPU it is the vendor's figure for dense products, null for one
not listed.
"""

import time
from typing import Any

SIDE = 640
ROUNDS = 8

PUBLISHED = {
    "NVIDIA H100 80GB HBM3": {"bfloat16": 989.4e12, "float32": 66.9e12},
    "NVIDIA H100 PCIe": {"bfloat16": 756e12, "float32": 51e12},
    "NVIDIA H200": {"bfloat16": 989.4e12, "float32": 66.9e12},
    "NVIDIA A100-SXM4-40GB": {"bfloat16": 312e12, "float32": 19.5e12},
    "NVIDIA A100-SXM4-80GB": {"bfloat16": 312e12, "float32": 19.5e12},
}
"""GPU, by the driver's name → FLOP/s per dtype, without sparsity and without TF32 (NVIDIA's data
sheets)."""


LARGEST: dict[str, float] = {}
"""dtype → the largest rate that was measured in this process."""


def product_flops(dtype: str) -> float:
    """FLOP/s of a square matrix product on this process's threads: the best of a few, 0.1 s."""
    import torch

    factor = torch.full((SIDE, SIDE), 0.5, dtype=getattr(torch, dtype))
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        torch.mm(factor, factor)
        best = min(best, time.perf_counter() - began)
    return 2.0 * SIDE**3 / best


def device_flops(device: Any, dtype: str) -> float | None:
    """FLOP/s that `device` could do in `dtype`; null where nobody has said.

    A CPU is measured at every call, and the largest rate so far is returned.
    """
    if device.type == "cpu":
        LARGEST[dtype] = max(product_flops(dtype), LARGEST.get(dtype, 0.0))
        return LARGEST[dtype]
    import torch

    return PUBLISHED.get(torch.cuda.get_device_name(device), {}).get(dtype)
