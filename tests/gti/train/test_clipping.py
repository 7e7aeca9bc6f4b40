"""Clipping against torch's own, to the last bit, whether or not it shortens anything."""

from types import SimpleNamespace

import pytest
import torch

from gti.train.training import DivergedError, adamw, step_optimizer

SETTINGS = SimpleNamespace(
    learning_rate=0.1,
    schedule="constant",
    warmup_share=0.0,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    clip_norm=1.0,
)


def parameters(length: float) -> list[torch.nn.Parameter]:
    """Three matrices whose gradients have that norm together; one has none."""
    torch.manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape)) for shape in ((40, 7), (7, 300), (5, 5))]
    gradients = [torch.randn_like(each) for each in made[:2]]
    norm = torch.cat([each.flatten() for each in gradients]).norm()
    for each, gradient in zip(made, gradients, strict=False):
        each.grad = gradient / norm * length
    return made


@pytest.mark.parametrize("length", [0.0, 1e-8, 0.3, 0.999999, 1.0, 1.000001, 1.7, 1e4])
def test_a_step_is_that_behind_torchs_clipping(length):
    ours, theirs = parameters(length), parameters(length)
    step_optimizer(adamw(ours, SETTINGS), SETTINGS, 0, 1)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    adamw(theirs, SETTINGS).step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        assert one.grad is None


def test_a_gradient_that_is_no_number_stops_before_the_weights_move():
    made = parameters(1.0)
    before = [each.detach().clone() for each in made]
    made[0].grad[0, 0] = torch.nan
    with pytest.raises(DivergedError, match="the gradient's norm is nan at step 1"):
        step_optimizer(adamw(made, SETTINGS), SETTINGS, 0, 1)
    for each, old in zip(made, before, strict=True):
        assert torch.equal(each, old)
