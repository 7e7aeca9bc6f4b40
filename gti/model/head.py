"""The language-model head with its loss, in pieces that fit the cache, at answer positions only.

The plain way makes a `[targets, vocabulary]` tensor and keeps it for the backward pass. Here each
piece of targets goes through head, softmax and gradient at once and is then forgotten: the same
sums, a fraction of the memory traffic.
"""

import math
from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Size of one piece's logits: about a core's second-level cache on a CPU."""
SUM_BYTES = {"cpu": 1 << 20}
"""Size of a piece's logits where only their sum is wanted; the matrix's piece shares the cache."""
LEAST_CHUNK = {torch.bfloat16: 256}
"""Targets that a piece has room for, whatever the rows, by dtype: it reads the whole matrix and,
where all of it is trained, writes a gradient as large. `OTHER_LEAST_CHUNK` in every other dtype."""
OTHER_LEAST_CHUNK = 64


def head_loss(
    hidden: Tensor,
    trained: Tensor,
    labels: Tensor,
    matrix: Tensor | None = None,
    own_ids: Tensor | None = None,
    chunk: int | None = None,
) -> Tensor:
    """Summed next-token NLL of `labels`, computed in pieces.

    Args:
        hidden: [targets, d] hidden states that predict the labels.
        trained: what receives gradient: the whole [vocabulary, d] matrix, or only its own rows.
        labels: [targets] int64 token ids.
        matrix: [vocabulary, d] with the values of `trained` in the rows `own_ids`, where `trained`
            holds own rows alone; receives no gradient.
        own_ids: [rows of `trained`] their places in `matrix`.
        chunk: targets per piece; default so that a piece's logits fill `CHUNK_BYTES`, but room for
            `LEAST_CHUNK`.
    """
    hidden = _in_autocast(hidden)
    whole = trained if matrix is None else matrix
    if chunk is None:
        chunk = _even_chunk(hidden, whole)
    loss: Tensor = _HeadLoss.apply(hidden, trained, whole, own_ids, labels, chunk)  # type: ignore[no-untyped-call]
    return loss


def _even_chunk(hidden: Tensor, matrix: Tensor) -> int:
    """Targets per piece: all pieces alike, above `CHUNK_BYTES` only up to `LEAST_CHUNK` targets."""
    least = LEAST_CHUNK.get(hidden.dtype, OTHER_LEAST_CHUNK)
    most = max(least, CHUNK_BYTES[hidden.device.type] // (4 * matrix.shape[0]))
    pieces = max(1, math.ceil(len(hidden) / most))
    return max(1, math.ceil(len(hidden) / pieces))


@torch.no_grad()
def others_logsumexp(hidden: Tensor, matrix: Tensor, own_ids: Tensor) -> Tensor:
    """[targets] log of the sum of exponentials of all logits but those of the rows `own_ids`.

    Args:
        hidden: [targets, d] hidden states.
        matrix: [vocabulary, d] of the head.
        own_ids: rows left out.
    """
    hidden, accurate = _in_autocast(hidden), _accurate(hidden)
    found = torch.empty(len(hidden), dtype=accurate, device=hidden.device)
    chunk = _even_chunk(hidden, matrix)
    for start in range(0, len(hidden), chunk):
        piece = slice(start, start + chunk)
        logits = (hidden[piece] @ matrix.to(hidden.dtype).T).to(accurate)
        found[piece] = logits.index_fill_(1, own_ids, -torch.inf).logsumexp(dim=1)
    return found


@torch.no_grad()
def log_probabilities(hidden: Tensor, matrix: Tensor, ids: Tensor) -> Tensor:
    """[targets, ids] log-probabilities of the tokens `ids` among all of the vocabulary.

    The vocabulary is gone through in pieces, each summed while it is in the cache.

    Args:
        hidden: [targets, d] hidden states.
        matrix: [vocabulary, d] of the head.
        ids: token ids.
    """
    accurate, hidden = _accurate(hidden), _in_autocast(hidden)
    most = max(256, SUM_BYTES.get(hidden.device.type, 1 << 28) // (4 * len(hidden)))
    pieces = math.ceil(len(matrix) / most)
    sums = []
    for rows in matrix.chunk(pieces):
        logits = (hidden @ rows.to(hidden.dtype).T).to(accurate)
        largest = logits.amax(dim=1, keepdim=True)
        sums.append(logits.sub_(largest).exp_().sum(dim=1, keepdim=True).log_().add_(largest))
    chosen = (hidden @ matrix[ids].to(hidden.dtype).T).to(accurate)
    return chosen - torch.cat(sums, dim=1).logsumexp(dim=1, keepdim=True)


def own_rows_loss(hidden: Tensor, trained: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """Summed next-token NLL where the labels are own rows and all other logits are constants.

    Args:
        hidden: [targets, d] constant hidden states.
        trained: [own rows, d] the rows that receive gradient.
        labels: [targets] their numbers among the own rows.
        others: [targets] what `others_logsumexp` gave for `hidden`.
    """
    hidden = _in_autocast(hidden)
    logits = (hidden @ trained.to(hidden.dtype).T).to(others.dtype)
    normaliser = torch.logaddexp(others, logits.logsumexp(dim=1))
    loss: Tensor = (normaliser - logits.gather(1, labels[:, None])[:, 0]).sum()
    return loss


def _in_autocast(states: Tensor) -> Tensor:
    """`states` in the dtype that products are computed in where autocast is on."""
    if torch.is_autocast_enabled(states.device.type):
        return states.to(torch.get_autocast_dtype(states.device.type))
    return states


def _accurate(states: Tensor) -> torch.dtype:
    return torch.float64 if states.dtype == torch.float64 else torch.float32


class _HeadLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass, piece by piece."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        trained: Tensor,
        matrix: Tensor,
        own_ids: Tensor | None,
        labels: Tensor,
        chunk: int,
    ) -> Tensor:
        """See `head_loss`."""
        with torch.autocast(hidden.device.type, enabled=False):
            values = matrix.to(hidden.dtype)
            gradient = torch.empty_like(hidden)
            accurate = _accurate(trained)
            rows: Tensor | None = None
            total = torch.zeros((), dtype=accurate, device=hidden.device)
            for start in range(0, len(hidden), chunk):
                piece = slice(start, start + chunk)
                logits = (hidden[piece] @ values.T).to(accurate)
                picked = labels[piece, None]
                normaliser = logits.logsumexp(dim=1, keepdim=True)
                total += (normaliser - logits.gather(1, picked)).sum()
                # In place: from here on these are softmax minus the target, d loss / d logits.
                slope = logits.sub_(normaliser).exp_()
                slope.scatter_add_(1, picked, -torch.ones_like(picked, dtype=accurate))
                own = slope if own_ids is None else slope[:, own_ids]
                if hidden.dtype == accurate:
                    torch.mm(slope, values, out=gradient[piece])
                    rows = torch.zeros_like(trained) if rows is None else rows
                    rows.addmm_(own.T, hidden[piece])
                else:
                    gradient[piece] = slope.to(hidden.dtype) @ values
                    added = own.to(hidden.dtype).T @ hidden[piece]
                    # Of several pieces the sum is float32; of one there is none.
                    rows = added if len(hidden) <= chunk else _sum(rows, added, accurate)
        ctx.gradients = gradient, torch.zeros_like(trained) if rows is None else rows
        ctx.dtype = trained.dtype
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Scales what the forward pass computed."""
        gradient, rows = ctx.gradients
        return (
            gradient.mul_(upstream),
            rows.mul_(upstream).to(ctx.dtype),
            None,
            None,
            None,
            None,
        )


def _sum(rows: Tensor | None, added: Tensor, dtype: torch.dtype) -> Tensor:
    """`rows` with `added` to them, in `dtype`."""
    return added.to(dtype) if rows is None else rows.add_(added)
