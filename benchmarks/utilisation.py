"""How many FLOP/s a device could do, for the share of them that a training stage reached.

Utilisation is actual FLOPs (`gti.flops`: no padding, the head at answers alone, what prompts share
once) over seconds times that rate. On a CPU the rate is that of a matrix product, measured on the
threads of this process; on a GPU the vendor's figure for dense products, null for one not listed.
"""

import functools
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


@functools.cache
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
    """FLOP/s that `device` could do in `dtype`; null where nobody has said."""
    if device.type == "cpu":
        return product_flops(dtype)
    import torch

    return PUBLISHED.get(torch.cuda.get_device_name(device), {}).get(dtype)
