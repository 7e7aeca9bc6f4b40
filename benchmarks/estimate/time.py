"""What a setting will cost on this machine: time, memory and disk of a cell, time of its SIDs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.estimate.flops import cell_flops
from benchmarks.estimate.memory import memory_bytes
from benchmarks.estimate.workload import Workload
from benchmarks.inputs.backbone_sizes import BackboneSize
from benchmarks.machine.utilisation import product_flops
from benchmarks.run.plan import past_seconds
from gti.method import Spending
from leaderboard.records.setting import Setting

UTILISATION = {
    "cpu": {"float32": 0.35, "bfloat16": 0.62},
    "cuda": {"float32": 0.25, "bfloat16": 0.25},
}
"""Share of the matrix-product rate that a cell reaches (docs/performance.md); assumed of a GPU."""
START_SECONDS = 15.0
"""What a cell takes before it computes: libraries, data, weights."""
RQ_VAE_STEP_SECONDS = 0.01
"""What a step of an RQ-VAE takes beside its matrix products (optimiser, groups, small kernels)."""
SINKHORN_FLOPS = 10
"""Operations that one iteration on one entry is worth: exponentials, bound by memory."""
KMEANS_ITERATIONS = 150
"""Lloyd iterations of a level: 50 in each of three runs (`gti.quantise.kmeans`)."""


@dataclass(frozen=True)
class Estimate:
    """What one cell will cost, roughly.

    Attributes:
        seconds: wall time of the mean cell; within a factor of two or so.
        memory_bytes: peak memory of one worker (`benchmarks.estimate.memory`).
        disk_bytes: of one record with its sidecars.
        basis: what the time rests on.
        note: why another dtype is computed in than the setting's; null where it is that.
    """

    seconds: float
    memory_bytes: float
    disk_bytes: float
    basis: str
    note: str | None = None


def matrix_rate(device: str, dtype: str, threads: int = 1) -> float:
    """FLOP/s of a square matrix product on `device`; takes less than a second.

    Args:
        device: "cpu" or "cuda".
        dtype: computed in there.
        threads: of a CPU; a cell has one.
    """
    import torch

    if device == "cuda":
        return _gpu_rate(dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return product_flops(dtype)
    finally:
        torch.set_num_threads(before)


def _gpu_rate(dtype: str) -> float:
    """FLOP/s of large products, one after another."""
    import torch

    size = 8192
    factor = torch.randn(size, size, device="cuda", dtype=getattr(torch, dtype))
    (factor @ factor).sum().item()
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < 0.7:
        (factor @ factor).sum().item()
        rounds += 1
    return 2.0 * size**3 * rounds / (time.perf_counter() - began)


def seconds_of(flops: float, device: str, dtype: str, rate: float) -> float:
    """Seconds of a cell of so many FLOPs where products in `dtype` reach `rate` FLOP/s."""
    return START_SECONDS + flops / (UTILISATION[device][dtype] * rate)


def estimate(
    setting: Setting,
    work: Workload,
    device: str,
    results: Sequence[Path],
    size: BackboneSize,
    spends: Sequence[Mapping[Spending, float]],
) -> Estimate:
    """Cost of the mean cell of `setting` on this machine.

    Args:
        setting: what would run.
        work: how much there is to read.
        device: "cpu" or "cuda".
        results: where finished cells may be found; they are the best basis.
        size: of the backbone.
        spends: how the method of each cell spends A (`gti.method.Method.spends`).
    """
    import torch

    from gti.model.devices import computed_dtype

    dtype, note = computed_dtype(torch.device(device), setting.backbone.dtype)
    past = past_seconds(setting, results, device)
    if past is not None:
        seconds, basis = past, "mean of the cells finished on such a machine"
    else:
        rate = matrix_rate(device, dtype)
        flops = sum(cell_flops(setting, work, size, own) for own in spends) / max(1, len(spends))
        seconds = seconds_of(flops, device, dtype, rate)
        basis = f"FLOPs over this machine's measured matrix rate in {dtype}"
    memory = memory_bytes(setting, size, work, device, dtype)
    return Estimate(seconds, memory, ranks_bytes(work) + 4e5, basis, note)


def ranks_bytes(work: Workload) -> float:
    """Size of a ranks file, roughly: 60 bytes a user and part, 3 a query's relevant item."""
    if work.queries is None:
        return 60.0 * 2 * len(work.train_lengths)
    return 3.0 * work.queries.relevant


def encoding_flops(setting: Setting, work: Workload, parameters: int) -> float:
    """FLOPs of encoding all item texts; `parameters` are those that each token passes through."""
    longest = setting.semantic_ids.encoder_max_tokens or 256
    return 2.0 * parameters * work.num_items * min(longest, work.text_tokens)


def quantising_seconds(
    setting: Setting, work: Workload, width: int, flops_per_second: float
) -> float:
    """Seconds of making codes from embeddings.

    Args:
        setting: whose quantiser, RQ-VAE or residual k-means.
        work: how many items there are.
        width: of the embeddings.
        flops_per_second: of training on this machine.

    An RQ-VAE's step is 6 FLOPs per parameter of its two MLPs and item, three distances to all codes
    per level, Sinkhorn on the last one; its k-means start and the spreading of collisions at the
    end are left out.
    """
    spec = setting.semantic_ids
    width = spec.pca_dim or width
    vae = spec.rq_vae
    if vae is None:
        one = 2.0 * work.num_items * spec.codes * width * KMEANS_ITERATIONS
        return spec.levels * one / flops_per_second
    layers = [width, *vae.hidden, vae.code_dim]
    both = 2 * sum(one * two for one, two in pairwise(layers))
    item = 6.0 * both + 3 * 2.0 * spec.levels * spec.codes * vae.code_dim
    if vae.sinkhorn_epsilon:
        item += SINKHORN_FLOPS * spec.codes * vae.sinkhorn_iterations
    steps = vae.epochs * (-(-work.num_items // vae.batch_size) if vae.batch_size else 1)
    return vae.epochs * work.num_items * item / flops_per_second + RQ_VAE_STEP_SECONDS * steps
