"""Next-token loss and its gradient without a `[tokens, vocabulary]` tensor in memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def softmax_minus_target(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the summed cross-entropy for the logits, and that sum.

    Args:
        logits: `[chunk, vocabulary]`.
        targets: `[chunk]` int64.
    """
    exact = logits.float()
    top = exact.amax(-1, keepdim=True)
    powers = (exact - top).exp()
    total = powers.sum(-1, keepdim=True)
    nll = (total.log() + top).squeeze(-1) - exact.gather(1, targets[:, None]).squeeze(1)
    hit = torch.arange(logits.shape[1])[None] == targets[:, None]
    return (powers / total - hit.float()).to(logits.dtype), nll.sum()


class ChunkedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of `hidden @ rows.T`; forward computes the gradients, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        rows: Tensor,
        targets: Tensor,
        chunk: int,
        gradient_of: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        """Computes loss and gradients.

        Args:
            ctx: keeps the gradients for `backward`.
            hidden: `[tokens, width]`.
            rows: `[vocabulary, width]`.
            targets: `[tokens]` int64.
            chunk: how many tokens to take at a time.
            gradient_of: `softmax_minus_target`, compiled or not.
        """
        hidden_gradient = torch.empty_like(hidden)
        rows_gradient = torch.zeros(rows.shape, dtype=torch.float32)
        total = torch.zeros(())
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            gradient, nll = gradient_of(hidden[part] @ rows.T, targets[part])
            total += nll
            hidden_gradient[part] = gradient @ rows
            rows_gradient += gradient.T @ hidden[part]
        ctx.save_for_backward(hidden_gradient, rows_gradient)
        ctx.tokens, ctx.dtype = len(hidden), rows.dtype
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Scales what `forward` computed."""
        hidden_gradient, rows_gradient = ctx.saved_tensors
        scale = upstream / ctx.tokens
        return hidden_gradient * scale, (rows_gradient * scale).to(ctx.dtype), None, None, None
