"""Batches of users whose prompts are read side by side, smaller ones where memory runs out."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.train.batches import is_out_of_memory

SPREAD, MORE = 1.125, 8
"""How much longer a batch's longest prompt may be than its shortest, where padding is allowed."""


class SearchMemoryError(RuntimeError):
    """Not even one user fits into memory; the message says how many there are and what to do."""


def length_batches(
    prompts: Sequence[IntArray], max_tokens: int, extra: int, alike: bool = True
) -> Iterator[IntArray]:
    """Batches of users whose prompts have the same length, or nearly so, shorter ones first.

    Args:
        prompts: [users] token ids.
        max_tokens: tokens in one batch, padding counted; a user alone may have more.
        extra: tokens that each user has beside its prompt.
        alike: exactly the same length, so that nothing is padded; else the longest of a batch has
            at most `SPREAD` times the shortest's tokens, and `MORE`.
    """
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        here = lengths[order[start:]]
        bound = here[0] if alike else SPREAD * here[0] + MORE
        tokens = np.arange(1, len(here) + 1) * (here + extra)  # both grow, so the first ones fit
        count = max(1, int(((here <= bound) & (tokens <= max_tokens)).sum()))
        yield order[start : start + count]
        start += count


def batch_of(prompts: Sequence[IntArray], device: torch.device) -> tuple[Tensor, Tensor]:
    """[users, longest] token ids, padded on the right with 0, and [users] lengths."""
    lengths = [len(prompt) for prompt in prompts]
    ids = np.zeros((len(prompts), max(lengths)), dtype=np.int64)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = prompt
    return torch.from_numpy(ids).to(device), torch.tensor(lengths, device=device)


def run_in_batches(
    run: Callable[[IntArray, Tensor, Tensor], None],
    prompts: Sequence[IntArray],
    max_tokens: int,
    extra: int,
    *,
    alike: bool,
    device: torch.device,
) -> int | None:
    """Runs all users, batch by batch; one that does not fit into memory is cut to half its tokens.

    What each user gets does not depend on the batch, up to the order of floating-point sums.

    Args:
        run: takes [batch] numbers of users, their prompts [batch, longest] and [batch] lengths;
            called again for a user whose batch did not fit.
        prompts: see `length_batches`.
        max_tokens: see `length_batches`.
        extra: see `length_batches`.
        alike: see `length_batches`.
        device: where the prompts go.

    Returns:
        Tokens per batch after the last cut; null where memory did not run out.

    Raises:
        SearchMemoryError: a user alone does not fit.
    """
    waiting = np.argsort([len(prompt) for prompt in prompts], kind="stable")
    cut_to = None
    while len(waiting):
        bound = max_tokens if cut_to is None else cut_to
        done = 0
        for places in length_batches([prompts[user] for user in waiting], bound, extra, alike):
            chosen = waiting[places]  # in this order already, so the batches follow one another
            refusal = _run_or_out_of_memory(run, [prompts[user] for user in chosen], chosen, device)
            if refusal is not None:
                if len(chosen) == 1:
                    length = len(prompts[chosen[0]])
                    raise SearchMemoryError(
                        f"out of memory on {device} while searching for {len(prompts)} user(s),"
                        f" even with one at a time ({length} tokens of prompt, {extra} behind it):"
                        " use a device with more memory or, in a setting of another name, a"
                        " smaller backbone, max_history or beam; the beam is never shrunk by"
                        f" itself ({refusal})"
                    )
                cut_to = len(chosen) * (len(prompts[chosen[-1]]) + extra) // 2
                break
            done += len(chosen)
        waiting = waiting[done:]
    return cut_to


def _run_or_out_of_memory(
    run: Callable[[IntArray, Tensor, Tensor], None],
    prompts: Sequence[IntArray],
    chosen: IntArray,
    device: torch.device,
) -> str | None:
    """Runs one batch; returns the out-of-memory message if memory ran out, else null."""
    try:
        run(chosen, *batch_of(prompts, device))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        said = str(error).partition("\n")[0]
    else:
        return None
    if device.type == "cuda":  # only here: the error kept alive what failed
        torch.cuda.empty_cache()
    return said
