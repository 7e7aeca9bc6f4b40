"""How probable a model holds the answers of examples to be: NLL under the full vocabulary."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gti.data.dataset import IntArray
from gti.model.capabilities import check_model
from gti.model.compute import autocast, computed_in
from gti.model.head import CHUNK_BYTES
from gti.prompts.prompter import Example
from gti.train.batches import Batch, answer_states, collate, is_out_of_memory
from gti.train.training import TrainingError, hidden_states


@torch.inference_mode()
def example_nll(
    model: Any, examples: Sequence[Example], *, max_tokens: int = 8192, dtype: str = "float32"
) -> tuple[NDArray[np.float64], IntArray]:
    """Teacher-forced NLL of the answer of each example, in nats.

    Args:
        model: a causal LM, in eval mode.
        examples: any number of them.
        max_tokens: padded tokens in one batch; fewer where memory runs out.
        dtype: "bfloat16" computes in it; log-probabilities are float32, for a float64 model
            float64, and their sums float64 always.

    Returns:
        [examples] NLL summed over the answer's tokens, and [examples] how many these are.

    Raises:
        ModelError: a model that is not computed with.
        TrainingError: not even one example fits into memory.
    """
    check_model(model)
    model, dtype = computed_in(model, dtype)
    device = model.get_input_embeddings().weight.device
    summed = np.zeros(len(examples))
    waiting = sorted(range(len(examples)), key=lambda number: -len(examples[number]))
    while waiting:
        # Longest first, so the first one's length is that of all with their padding.
        size = max(1, max_tokens // len(examples[waiting[0]]))
        piece = waiting[:size]
        refusal = None
        try:
            batch = collate([examples[number] for number in piece], device)
            with autocast(device, dtype):
                values = _answer_nll(model, batch).cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            refusal = str(error).partition("\n")[0]
        if refusal is None:
            rows = batch.rows.cpu().numpy()
            summed[piece] = np.bincount(rows, weights=values, minlength=len(piece))
            waiting = waiting[size:]
            continue
        if len(piece) == 1:
            raise TrainingError(
                f"out of memory on {device} with one example of {len(examples[piece[0]])} tokens:"
                f" lower max_text_tokens, or use a smaller backbone ({refusal})"
            )
        max_tokens = len(piece) * len(examples[piece[0]]) // 2
        if device.type == "cuda":  # only here: the error kept alive what failed
            torch.cuda.empty_cache()
    return summed, np.array([example.num_targets for example in examples], dtype=np.int64)


def _answer_nll(model: Any, batch: Batch) -> Tensor:
    """[targets] float64 NLL of each label of `batch`; logits go by in pieces that fit the cache."""
    states = answer_states(hidden_states(model, input_ids=batch.ids), batch)
    head = model.get_output_embeddings()
    size = max(1, CHUNK_BYTES[states.device.type] // (4 * head.weight.shape[0]))
    found = []
    for start in range(0, len(states), size):
        piece = slice(start, start + size)
        logits = head(states[piece])
        logits = logits if logits.dtype == torch.float64 else logits.float()
        own = logits.gather(1, batch.labels[piece, None])[:, 0]
        found.append((logits.logsumexp(dim=1) - own).double())
    return torch.cat(found)
