"""What a setting will cost on this machine: time, memory and disk of a cell, time of its SIDs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.cell.budget import sft_passes
from benchmarks.estimate.memory import memory_bytes
from benchmarks.estimate.workload import Workload
from benchmarks.inputs.backbone_sizes import BackboneSize
from benchmarks.machine.utilisation import product_flops
from benchmarks.run.plan import past_seconds
from leaderboard.records.setting import Setting

UTILISATION = {"cpu": 0.35, "cuda": 0.25}
"""Share of the matrix-product rate that training is taken to reach: assumed, not measured."""
START_SECONDS = 15.0
"""What a cell takes before it computes: libraries, data, weights."""
RQ_VAE_STEP_SECONDS = 0.01
"""What a step of an RQ-VAE takes beside its matrix products (optimiser, groups, small kernels)."""
SINKHORN_FLOPS = 10
"""Operations that one iteration on one entry is worth: exponentials, bound by memory."""
SAMPLE = 256
"""`benchmarks.cell.treatment.SAMPLE`, which imports torch; a test holds them equal."""
ENGLISH_TOKENS = 2 * 1500
"""Tokens of the pages of plain English, read before and after."""
KMEANS_ITERATIONS = 150
"""Lloyd iterations of a level: 50 in each of three runs (`gti.quantise.kmeans`)."""


@dataclass(frozen=True)
class Estimate:
    """What one cell will cost, roughly.

    Attributes:
        seconds: wall time of one cell; within a factor of two or so.
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


def chat_tokens(length: int, shown: int, levels: int) -> int:
    """Tokens that are run for a history of `length` items, in blocks that share their beginning.

    Of a prompt's words 40 stand before the history and 20 behind it.
    """
    full, rest = divmod(length - 1, shown)
    blocks = [shown] * full + [rest] * (rest > 0)
    return sum(40 + targets * (2 * levels + 20) for targets in blocks)


def tokens_per_pass(setting: Setting, work: Workload) -> tuple[int, int]:
    """Tokens of one pass of R, and of scoring both parts; prompts' words at 60 tokens.

    A query's prompt is taken for 25. Behind it come the beams, or all prefixes where scoring is
    exact.
    """
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    prompts, rows, _ = _asked(setting, work)
    score = (prompts + rows * _beams(setting, work)) * setting.evaluation.wordings
    if work.queries is not None:
        return work.queries.train * (25 + levels), score
    lengths = work.train_lengths
    if setting.prompts.style == "sequence":
        train = levels * sum(lengths) + 10 * sum(-(-n // setting.prompts.window) for n in lengths)
    else:
        train = sum(chat_tokens(n, shown, levels) for n in lengths)
    return train, score


def _beams(setting: Setting, work: Workload) -> int:
    """Tokens that are scored behind one prompt."""
    exact = setting.decoding.method == "exact"
    return work.prefixes if exact else setting.decoding.beam * (setting.semantic_ids.levels - 1)


def _asked(setting: Setting, work: Workload) -> tuple[int, int, int]:
    """Of validation and test together: tokens of prompts, their number, and that of targets."""
    if work.queries is not None:
        return work.queries.scored * 25, work.queries.scored, work.queries.relevant
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    rows = 2 * len(work.train_lengths)
    return 2 * sum(levels * min(n + 1, shown) + 30 for n in work.train_lengths), rows, rows


def measuring_tokens(setting: Setting, work: Workload) -> float:
    """Tokens of all that is measured beside the ranks of both parts.

    The targets' NLL takes their prompts once more, at each point of the learning curve those of
    validation, beside the sample's prompts and beams. Of the checks of a stage before SFT, `SAMPLE`
    titles of each share are set beside three Semantic IDs in both directions and asked for, and as
    many queries of each kind of item.
    """
    prompts, rows, targets = _asked(setting, work)
    points, asked = setting.evaluation.curve_points + 1, setting.evaluation.validation_users
    beams, levels = _beams(setting, work), setting.semantic_ids.levels
    losses = (1 + points / 2) * (prompts + targets * levels)
    sampled = points * min(1.0, 2 * asked / max(1, rows)) * (prompts + rows * beams) / 2
    pair = setting.prompts.max_text_tokens / 2 + 40
    held_out = setting.grounding.held_out_share * work.num_items
    titles = min(SAMPLE, work.num_items) + min(SAMPLE, held_out)
    treatment = titles * (6 * pair + pair + beams)
    if setting.queries is not None and setting.queries.warm_cold_new is not None:
        treatment += 3 * SAMPLE * (25 + beams)
    return (losses + sampled) * setting.evaluation.wordings + treatment + ENGLISH_TOKENS


def training_flops(setting: Setting, work: Workload, train: int, parameters: int) -> float:
    """FLOPs of R and of A, roughly; `train` are the tokens of one pass over R."""
    lengths = work.train_lengths
    if work.queries is not None:
        examples = work.queries.train
    elif setting.prompts.style == "sequence":
        examples = sum(-(-n // setting.prompts.window) for n in lengths)
    else:
        examples = sum(lengths) - len(lengths)
    sft = 6.0 * parameters * train * sft_passes(setting.sft, examples)
    extra = setting.extra
    if extra.share_of_sft is not None:
        return sft * (1 + extra.share_of_sft)
    # Grounding pairs: six tasks per item, half of the longest text on average, 40 tokens around it.
    steps = extra.grounding_steps
    if steps is None:
        assert extra.grounding_passes is not None  # the spec holds one of the three
        steps = round(extra.grounding_passes * 6 * work.num_items) // setting.grounding.batch_size
    pair = parameters * (setting.prompts.max_text_tokens / 2 + 40)
    rows, free = 4.0 * steps, 6.0 * (extra.free_steps or 0)
    return sft + pair * setting.grounding.batch_size * (rows + free)


def cell_flops(setting: Setting, work: Workload, size: BackboneSize) -> float:
    """FLOPs of one cell, roughly."""
    train, score = tokens_per_pass(setting, work)
    flops = training_flops(setting, work, train, size.parameters)
    return flops + 2.0 * size.parameters * (score + measuring_tokens(setting, work))


def seconds_of(flops: float, device: str, rate: float) -> float:
    """Seconds of a cell of so many FLOPs where matrix products reach `rate` FLOP/s."""
    return START_SECONDS + flops / (UTILISATION[device] * rate)


def estimate(
    setting: Setting, work: Workload, device: str, results: Sequence[Path], size: BackboneSize
) -> Estimate:
    """Cost of one cell of `setting` on this machine.

    Args:
        setting: what would run.
        work: how much there is to read.
        device: "cpu" or "cuda".
        results: where finished cells may be found; they are the best basis.
        size: of the backbone.
    """
    import torch

    from gti.model.devices import computed_dtype

    dtype, note = computed_dtype(torch.device(device), setting.backbone.dtype)
    past = past_seconds(setting, results, device)
    if past is not None:
        seconds, basis = past, "mean of the cells finished on such a machine"
    else:
        rate = matrix_rate(device, dtype)
        seconds = seconds_of(cell_flops(setting, work, size), device, rate)
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
