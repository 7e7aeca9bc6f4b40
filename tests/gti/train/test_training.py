"""Schedules, batches and nominal FLOPs against figures worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gti.model.flops import ModelShape
from gti.prompts.prompter import Example
from gti.train.training import (
    AdamWSettings,
    DivergedError,
    StageReport,
    adamw,
    rate,
    step_optimizer,
)


def example(length: int) -> Example:
    return Example(np.arange(length), np.arange(1, length), "any")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("constant", [0.5, 1.0] + [1.0] * 8),
    ],
)
def test_rates_follow_the_schedule(schedule, expected):
    settings = SimpleNamespace(schedule=schedule, warmup_share=0.2)
    assert [rate(settings, step, 10) for step in range(10)] == pytest.approx(expected)


def test_a_cosine_passes_through_its_half():
    settings = SimpleNamespace(schedule="cosine", warmup_share=0.0)
    assert rate(settings, 0, 8) == 1.0
    assert rate(settings, 4, 8) == pytest.approx(0.5)
    assert rate(settings, 2, 8) == pytest.approx(0.5 * (1 + 2**-0.5))


def test_flops_by_hand():
    shape = ModelShape(body=100, matrix_rows=10, width=4, layers=2, attention_width=8)
    # One sequence of 3: body 2·100·3; attention 4·2·8·(1+2+3); head 2·10·4·3.
    body, attention, head = 600, 384, 240
    assert shape.flops([3], "nothing") == body + attention + head
    assert shape.flops([3], "all") == 3 * (body + attention + head)
    assert shape.flops([3], "rows") == 2 * body + 3 * (attention + head)
    assert shape.flops([3, 3], "all") == 2 * shape.flops([3], "all")
    assert shape.flops([3], "all", head_positions=1) == 3 * (body + attention + head / 3)


def test_spent_flops_by_hand():
    shape = ModelShape(body=100, matrix_rows=10, width=4, layers=2, attention_width=8)
    body, attention = 600, 384
    # Two answers: 2·10·4·2 = 160 through the head; all weights three times that, rows twice.
    assert shape.spent_flops([3], 2, "all") == 3 * (body + attention + 160)
    assert shape.spent_flops([3], 2, "rows") == 2 * body + 3 * attention + 2 * 160


def test_steps_are_counted_and_the_last_loss_is_a_running_one():
    shape = ModelShape(body=100, matrix_rows=10, width=4, layers=2, attention_width=8)
    report = StageReport()
    for loss in (4.0, 2.0, 1.0):
        report.note_step(loss, [example(3), example(5)], shape, "rows")
    assert report.first_loss == 4.0
    assert report.last_loss == pytest.approx(0.9 * (0.9 * 4 + 0.1 * 2) + 0.1 * 1)
    assert (report.steps, report.tokens) == (3, 24)
    assert report.nominal_flops == 3 * shape.flops([3, 5], "rows")
    assert report.actual_flops == 3 * shape.spent_flops([3, 5], 2 + 4, "rows")


def test_a_shared_beginning_is_not_spent_twice():
    shape = ModelShape(body=100, matrix_rows=10, width=4, layers=2, attention_width=8)
    report = StageReport()
    report.note_step(1.0, [example(5), example(4)], shape, "all", shared=[3])
    assert report.tokens == 9
    assert report.nominal_flops == shape.flops([5, 4], "all")
    # Tokens: 5 and 1. Pairs: 1 + 2 + 3 + 4 + 5 and, for the fourth token of the other, 4.
    targets = example(5).num_targets + example(4).num_targets
    body, attention, head = 2 * 100 * 6, 4 * 2 * 8 * (15 + 4), 2 * 10 * 4 * targets
    assert report.actual_flops == 3 * (body + attention + head)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_training_before_it_reaches_weights(bad):
    weight = torch.nn.Parameter(torch.ones(2, 2))
    settings = AdamWSettings(learning_rate=0.5)
    optimizer = adamw([weight], settings)
    weight.grad = torch.tensor([[1.0, bad], [0.0, 0.0]])
    with pytest.raises(DivergedError, match=r"norm is \w+ at step 4 with learning rate 0\.5"):
        step_optimizer(optimizer, settings, 3, 10)
    assert torch.equal(weight.detach(), torch.ones(2, 2))
