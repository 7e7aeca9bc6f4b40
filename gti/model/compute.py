"""The model as it is computed with: itself, or a copy with bfloat16 weights.

Autocast casts a float32 weight wherever it is used, and what lies between the products stays in
float32. A copy is cast once for as long as its weights stay what they are, and is bfloat16
throughout; norms, rotary angles and softmax are summed in float32 by the library. What trains
keeps float32 weights: the optimiser steps those, and the gradient of every micro-batch is added to
theirs.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import embedding

from gti.model.capabilities import Tried, note_copy, trial_ids, try_once, trying

LARGEST_ERROR = 0.1
"""Of a copy's state, over the state's own size, for the middle one of a few tokens; rounding makes
0.02 to 0.03, and at a control token without a sentence behind it ten times as much."""

TRIED: Tried = WeakKeyDictionary()
"""Models that were copied → what they were made of then, and why a copy does not serve."""


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[Any]:
    """Computes in bfloat16 around float32 weights where `dtype` is "bfloat16"."""
    if dtype == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def cast_copy(model: Any) -> Any:
    """A copy of `model` with bfloat16 weights, tied where its own are; buffers stay as they are."""
    # What deepcopy has a copy of already, it takes: the float32 weights are never doubled.
    weights = {
        id(weight): torch.nn.Parameter(weight.detach().to(torch.bfloat16), weight.requires_grad)
        for weight in model.parameters()
    }
    return copy.deepcopy(model, dict(weights))


def why_no_copy(model: Any, copied: Any) -> str | None:
    """Why `copied`, from `cast_copy`, does not stand for `model`; null where it does.

    A few tokens are read with both: a buffer or a layer that wants another dtype shows.
    """
    return try_once(TRIED, model, lambda: _try_copy(model, copied))


def _try_copy(model: Any, copied: Any) -> str | None:
    ids = trial_ids(model, 2, 12)
    try:
        with trying(model), trying(copied):
            plain = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            found = copied.base_model(input_ids=ids, use_cache=False).last_hidden_state
    except torch.OutOfMemoryError:
        raise
    except Exception as refusal:  # its author's choice
        return f"it cannot be read with bfloat16 weights ({type(refusal).__name__})"
    if found.dtype != torch.bfloat16:
        return f"with bfloat16 weights its states are {str(found.dtype).removeprefix('torch.')}"
    differences = (found.float() - plain).norm(dim=-1) / plain.norm(dim=-1)
    error = float(differences.median())
    if error < LARGEST_ERROR:
        return None
    return f"with bfloat16 weights it gives other states (they differ by {error:.1g})"


def computed_in(model: Any, dtype: str) -> tuple[Any, str]:
    """What to compute `dtype` with: a model, and the dtype that `autocast` is to be given.

    Args:
        model: a causal LM.
        dtype: "float32" or "bfloat16".

    Returns:
        A bfloat16 copy and "float32" (no autocast), or, where none serves, `model` and `dtype`. A
        model with bfloat16 weights, such as a copy, is returned as it is.
    """
    if dtype != "bfloat16":
        return model, dtype
    kinds = {weight.dtype for weight in model.parameters()}
    if kinds == {torch.bfloat16}:
        return model, "float32"
    if kinds != {torch.float32}:
        return model, dtype
    copied = cast_copy(model)
    if why_no_copy(model, copied) is not None:
        return model, dtype
    note_copy(copied, model)
    return copied, "float32"


class _LookUp(torch.autograd.Function):
    """Looks float32 rows up; their gradient is added to what `weight.grad` already holds.

    Autograd would make a gradient of all of the vocabulary for the few rows of a batch.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding: int | None) -> Tensor:
        """[…, d] rows of `ids` […] in bfloat16."""
        ctx.weight, ctx.ids, ctx.padding = weight, ids, padding
        return embedding(ids, weight).to(torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, None, None]:
        """Adds in float32: a token that comes often has too many gradients for eight bits."""
        weight, ids = ctx.weight, ctx.ids.reshape(-1)
        added = upstream.reshape(len(ids), -1).to(weight.dtype)
        if ctx.padding is not None:
            added = added.masked_fill(ids.eq(ctx.padding)[:, None], 0)
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        weight.grad.index_add_(0, ids, added)
        return None, None, None


class FloatRows(torch.nn.Module):
    """Looks float32 rows up and gives them in bfloat16.

    Args:
        weight: [vocabulary, d] float32; a backward pass adds to its `grad` in place.
        padding: the row that receives no gradient; null for none.
    """

    def __init__(self, weight: torch.nn.Parameter, padding: int | None) -> None:
        super().__init__()
        self.weight, self.padding = weight, padding

    def forward(self, ids: Tensor) -> Tensor:
        """[…, d] rows of `ids` […]."""
        rows: Tensor = _LookUp.apply(self.weight, ids, self.padding)  # type: ignore[no-untyped-call]
        return rows


class Computing:
    """A model in training and what computes its forward and backward passes.

    Args:
        model: a causal LM; what requires gradient in it is stepped by the caller's optimiser.
        dtype: "float32" or "bfloat16".
        copies: false: float32 weights under autocast, cast wherever they are used.

    Attributes:
        model: what computes: the model itself, or its bfloat16 copy. Gradients arrive at the
            weights of the model itself in either case.
        copied: whether a copy computes.
        why_not: why none does, where one was to; null elsewhere.
    """

    def __init__(self, model: Any, dtype: str, *, copies: bool = True) -> None:
        self.model, self._dtype = computed_in(model, dtype) if copies else (model, dtype)
        self._device = model.get_input_embeddings().weight.device
        self.copied = self.model is not model
        self.why_not: str | None = None
        if copies and self._dtype == "bfloat16":  # autocast, where a copy was asked for
            known = TRIED.get(model, (None, None))[1]
            self.why_not = known or "its weights are not all float32"
        self._masters: list[Tensor] = []
        self._copies: list[Tensor] = []
        if self.copied:
            self._follow(model)

    def autocast(self) -> AbstractContextManager[Any]:
        """What forward passes run within."""
        return autocast(self._device, self._dtype)

    def refresh(self) -> None:
        """Casts what trains anew: before each step, whatever has changed the weights since."""
        if self._copies:
            with torch.no_grad():
                torch._foreach_copy_(self._copies, self._masters)

    def _follow(self, model: Any) -> None:
        """Hands gradients of the copy on to the weights of `model`."""
        pairs = zip(model.parameters(), self.model.parameters(), strict=True)
        for master, copied in pairs:
            if master.requires_grad:
                self._masters.append(master)
                self._copies.append(copied.detach())  # same memory, without gradient
                copied.register_post_accumulate_grad_hook(_adder(master))
        rows = model.get_input_embeddings()
        if type(rows) is torch.nn.Embedding and rows.weight.requires_grad:
            weight: Any = rows.weight  # a Parameter, which torch's stubs do not say
            self.model.set_input_embeddings(FloatRows(weight, rows.padding_idx))


def _adder(master: Tensor) -> Any:
    """A hook that moves a gradient to `master`, in its dtype.

    On a CPU the memory of a step's gradient serves the next one again: fresh memory costs as much
    as the sum does.
    """
    buffer = torch.empty_like(master) if master.device.type == "cpu" else None

    def add(copied: Tensor) -> None:
        assert copied.grad is not None
        if master.grad is not None:
            master.grad += copied.grad
        elif buffer is not None:
            master.grad = buffer.copy_(copied.grad)
        else:
            master.grad = copied.grad.to(master.dtype)
        copied.grad = None

    return add
