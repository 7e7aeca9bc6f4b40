"""RQ-VAE: item embeddings → `SemanticIds` by a trained encoder and residual codebooks."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds
from gti.data.streams import stream_key, torch_stream
from gti.quantise.kmeans import as_float16, check_request, level_seed
from gti.quantise.report import (
    Outcome,
    QuantiserReport,
    collision_rate,
    make_report,
    perplexity,
    with_warnings,
)
from gti.quantise.rq_vae_model import (
    RqVae,
    RqVaeSettings,
    check_rq_vae_settings,
    code_counts,
    diversity_loss,
    group_codes,
)
from gti.quantise.sinkhorn import settle_collisions, spread_collisions
from gti.train.training import Progress, TrainingError

CURVE_POINTS = 100
"""Epochs at which the curves are taken, evenly on a logarithmic scale, besides the start."""
REGROUPINGS = 100
"""How often in a run the codes are grouped anew for the diversity term (LETTER: each epoch)."""
_CHUNK = 8192
"""Items that are encoded or decoded at once outside training."""


@dataclass(frozen=True)
class RqVaeCurves:
    """How training went: all items, dropout off, nearest codes.

    Attributes:
        epochs: [points] epochs done; 0 is the k-means start.
        reconstruction: [points] squared error of the decoder as a share of the items' spread.
        quantisation: [points] mean square of what each level leaves over, averaged over levels
            (the codebook term; before its weight, the commitment term).
        diversity: [points] LETTER's term, averaged over levels; null where it is off.
        used_codes: [points][num_levels].
        perplexity: [points][num_levels].
        collision_rate: [points].
    """

    epochs: tuple[int, ...] = ()
    reconstruction: tuple[float, ...] = ()
    quantisation: tuple[float, ...] = ()
    diversity: tuple[float | None, ...] = ()
    used_codes: tuple[tuple[int, ...], ...] = ()
    perplexity: tuple[tuple[float, ...], ...] = ()
    collision_rate: tuple[float, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The curves as plain lists, for a JSON file."""
        return asdict(self)


def rq_vae(
    embeddings: NDArray[np.float32],
    levels: int,
    codes: int,
    settings: RqVaeSettings,
    seed: int,
    description: dict[str, str],
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> tuple[SemanticIds, QuantiserReport, RqVaeCurves]:
    """Trains an RQ-VAE on the embeddings and takes the codes of the last step.

    The embeddings are centred and scaled to a mean square of 1 (so that loss weights mean the same
    for every encoder). Codebooks start from residual k-means of the untrained encoder's outputs.
    With `sinkhorn_epsilon` above 0 the last level is chosen by Sinkhorn in training, per batch, as
    in the public code of LC-Rec and LETTER. Final codes are the nearest; items that share a
    Semantic ID are then spread by Sinkhorn (`sinkhorn.spread_collisions`), and groups of items
    with one prefix that still hold a collision are settled by `quantisers.assign_distinct`.

    One step costs about 6 FLOPs per linear weight and item; all data stay on the device and
    nothing is read back but at the points of the curves. The paper's shape (3.4 M weights) on 16 k
    items and 20,000 full-batch steps is 6.7 × 10^15 FLOPs.

    On a CPU it runs in one thread: one seed, instruction set and version give the same codes.

    Args:
        embeddings: [num_items, width] float32.
        levels: codes per item, L.
        codes: codes per level, K.
        settings: widths, schedule, weights.
        seed: the quantiser's own seed.
        description: facts about the embeddings to keep with the codes; the quantiser adds its own.
        device: where to train.
        progress: called at the points of the curves with (epochs done, of, loss).

    Returns:
        The Semantic IDs, with the learned codebooks [L, K, code_dim] as float16; the report; the
        curves.

    Raises:
        DataError: as `quantisers.residual_kmeans`.
        ValueError: the same, or settings that make no sense.
        TrainingError: the loss is no longer finite.
    """
    began = time.perf_counter()
    own = _described(levels, codes, settings, seed)
    check_request(embeddings, levels, codes, own, description)
    check_rq_vae_settings(settings, embeddings.shape[1], codes)
    device = torch.device(device)
    items = torch.from_numpy(_standardised(embeddings)).to(device)
    model = RqVae(items.shape[1], levels, codes, settings, torch_stream(seed, "rq-vae-init"))
    model.to(device)
    with _own_draws(seed, device):
        curves = _train(model, items, settings, seed, progress)
        nearest, balanced, final = _codes(model, items, settings)
        codebooks = model.codebooks.detach().cpu().numpy()
        ids = SemanticIds(final, codes, as_float16(codebooks), {**description, **own})
        prefixes = [nearest[:, : level + 1] for level in range(levels)]
        outcome = Outcome(
            ids=ids,
            nearest=nearest,
            balanced=balanced,
            errors=[_decoder_error(model, items, prefix) for prefix in prefixes],
            error_final=_decoder_error(model, items, final),
            spread=_squared_sum(items),
            began=began,
        )
    report = make_report(outcome)
    return with_warnings(ids, report), report, curves


_FIELDS = (
    "hidden",
    "code_dim",
    "dropout",
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "commitment",
    "diversity",
    "diversity_groups",
    "sinkhorn_epsilon",
    "sinkhorn_iterations",
)


def _described(levels: int, codes: int, settings: RqVaeSettings, seed: int) -> dict[str, str]:
    """What the artefact says of how it was made."""
    distinct = "minimum-cost distinct"
    return {
        "quantiser": "RQ-VAE",
        "levels": str(levels),
        "codes": str(codes),
        "quantiser_seed": str(seed),
        "input": "centred, mean square 1",
        "last_level": f"Sinkhorn, then {distinct}" if settings.sinkhorn_epsilon else distinct,
        **{name: str(getattr(settings, name)) for name in _FIELDS},
    }


def _standardised(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred, and scaled to a mean square of 1 (left at 0 where all items are equal)."""
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    scale = math.sqrt(float(np.square(centred).mean()))
    standardised: NDArray[np.float32] = (centred / (scale or 1.0)).astype(np.float32)
    return standardised


@contextmanager
def _own_draws(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from a stream of its own; on a CPU sums run in one thread, in fixed order."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(stream_key(seed, "rq-vae-dropout"))
        if device.type == "cpu":
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _train(
    model: RqVae, items: Tensor, settings: RqVaeSettings, seed: int, progress: Progress | None
) -> RqVaeCurves:
    """Trains `model` in place, from the k-means start to the last epoch."""
    model.eval()
    model.start_codebooks(items, seed)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=items.device.type == "cuda",
    )
    order = torch_stream(seed, "rq-vae-order")
    points = set(np.geomspace(1, settings.epochs, CURVE_POINTS).round().astype(int).tolist())
    grouped: list[IntArray] | None = None
    groups: Tensor | None = None
    curves = RqVaeCurves()
    every = max(1, settings.epochs // REGROUPINGS)
    for epoch in range(settings.epochs + 1):
        if settings.diversity and epoch % every == 0:
            grouped = _grouped(model, settings.diversity_groups, seed, grouped)
            groups = torch.from_numpy(np.stack(grouped)).to(items.device)
        if epoch == 0 or epoch in points:
            curves = _measured(curves, model, items, groups, epoch)
            seen = curves.reconstruction[-1] + (1 + settings.commitment) * curves.quantisation[-1]
            if not math.isfinite(seen):
                raise TrainingError(
                    f"RQ-VAE: the loss is {seen} after epoch {epoch} of {settings.epochs};"
                    f" lower its learning_rate ({settings.learning_rate:g})"
                )
            if progress is not None and epoch:
                progress(epoch, settings.epochs, seen)
        if epoch < settings.epochs:
            model.train()
            for batch in _batches(items, settings.batch_size, order):
                optimizer.zero_grad(set_to_none=True)
                loss: Any = model.losses(batch, settings, groups).total(settings)
                loss.backward()
                optimizer.step()
            model.eval()
    return curves


def _batches(items: Tensor, size: int, order: torch.Generator) -> Iterator[Tensor]:
    """One epoch: all items at once, or shuffled and cut into batches of `size`."""
    if size == 0 or size >= len(items):
        yield items
    else:
        shuffled = torch.randperm(len(items), generator=order).to(items.device)
        for rows in torch.split(shuffled, size):
            yield items[rows]


def _grouped(
    model: RqVae, num_groups: int, seed: int, before: list[IntArray] | None
) -> list[IntArray]:
    """The group of each code, level by level."""
    codebooks = model.codebooks.detach().cpu().numpy()
    return [
        group_codes(
            codebook, num_groups, level_seed(seed, level), None if before is None else before[level]
        )
        for level, codebook in enumerate(codebooks)
    ]


def _codes(
    model: RqVae, items: Tensor, settings: RqVaeSettings
) -> tuple[IntArray, IntArray | None, IntArray]:
    """Codes [n, L]: the nearest, those spread by Sinkhorn (null where it is off), the final."""
    nearest, residual = _nearest(model, items)
    last = model.codebooks[-1].detach().cpu().numpy()
    balanced = None
    if settings.sinkhorn_epsilon:
        sinkhorn = (settings.sinkhorn_epsilon, settings.sinkhorn_iterations)
        balanced = nearest.copy()
        balanced[:, -1] = spread_collisions(residual, nearest, last, *sinkhorn)
    final = nearest.copy()
    final[:, -1] = settle_collisions(residual, nearest if balanced is None else balanced, last)
    return nearest, balanced, final


def _nearest(model: RqVae, items: Tensor) -> tuple[IntArray, NDArray[np.float32]]:
    """Nearest codes [n, L] and what they leave over before the last level [n, code_dim]."""
    parts = [model.nearest(chunk) for chunk in torch.split(items, _CHUNK)]
    codes = torch.cat([codes for codes, _ in parts]).cpu().numpy()
    return codes, torch.cat([residual for _, residual in parts]).cpu().numpy()


def _decoder_error(model: RqVae, items: Tensor, codes: IntArray) -> float:
    """Squared error of the decoder on the sums of the vectors of `codes` [n, l]."""
    return _squared_sum(_decoded(model, items.device, codes) - items)


@torch.no_grad()
def _decoded(model: RqVae, device: torch.device, codes: IntArray) -> Tensor:
    chunks = torch.split(torch.from_numpy(np.ascontiguousarray(codes)).to(device), _CHUNK)
    return torch.cat(
        [
            model.decoder(
                sum(
                    (book[column] for book, column in zip(model.codebooks, chunk.T, strict=False)),
                    start=torch.zeros((), device=device),
                )
            )
            for chunk in chunks
        ]
    )


def _squared_sum(values: Tensor) -> float:
    return float(values.double().square().sum())


@torch.no_grad()
def _measured(
    curves: RqVaeCurves, model: RqVae, items: Tensor, groups: Tensor | None, epoch: int
) -> RqVaeCurves:
    """`curves` with one point more."""
    codes, _ = _nearest(model, items)
    columns = torch.from_numpy(codes).to(items.device).T
    residual = torch.cat([model.encoder(chunk) for chunk in torch.split(items, _CHUNK)])
    left, diverse = [], []
    for level, codebook in enumerate(model.codebooks):
        residual = residual - codebook[columns[level]]
        left.append(float(residual.square().mean()))
        if groups is not None:
            counts = code_counts(columns[level], len(codebook))
            diverse.append(float(diversity_loss(codebook, counts, groups[level])))
    spread = _squared_sum(items)
    error = _decoder_error(model, items, codes) / spread if spread else 0.0
    diversity = float(np.mean(diverse)) if diverse else None
    return replace(
        curves,
        epochs=(*curves.epochs, epoch),
        reconstruction=(*curves.reconstruction, error),
        quantisation=(*curves.quantisation, float(np.mean(left))),
        diversity=(*curves.diversity, diversity),
        used_codes=(*curves.used_codes, tuple(len(np.unique(column)) for column in codes.T)),
        perplexity=(*curves.perplexity, tuple(perplexity(column) for column in codes.T)),
        collision_rate=(*curves.collision_rate, collision_rate(codes)),
    )
