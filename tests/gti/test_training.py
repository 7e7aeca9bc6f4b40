"""Schedules, batches and nominal FLOPs against figures worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from gti.flops import ModelShape
from gti.prompts import Example
from gti.training import StageReport, epochs, micro_batches, rate


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


def test_micro_batches_hold_every_example_within_the_bound():
    lengths = [3, 50, 7, 7, 20, 21, 22, 90, 1]
    pieces = micro_batches([example(n) for n in lengths], 60)
    assert sorted(len(e.ids) for piece in pieces for e in piece) == sorted(lengths)
    for piece in pieces:
        assert len(piece) == 1 or len(piece) * max(len(e.ids) for e in piece) <= 60


def test_epochs_are_whole_passes():
    stream = epochs(7, 3, np.random.default_rng(0))
    first = np.concatenate([next(stream) for _ in range(3)])
    second = np.concatenate([next(stream) for _ in range(3)])
    assert sorted(first) == sorted(second) == list(range(7))
    assert first.tolist() != second.tolist()


def test_flops_by_hand():
    shape = ModelShape(body=100, matrix_rows=10, width=4, layers=2, attention_width=8)
    # One sequence of 3: body 2·100·3; attention 4·2·8·(1+2+3); head 2·10·4·3.
    body, attention, head = 600, 384, 240
    assert shape.flops([3], "nothing") == body + attention + head
    assert shape.flops([3], "all") == 3 * (body + attention + head)
    assert shape.flops([3], "rows") == 2 * body + 3 * (attention + head)
    assert shape.flops([3, 3], "all") == 2 * shape.flops([3], "all")
    assert shape.flops([3], "all", head_positions=1) == 3 * (body + attention + head / 3)


def test_the_last_loss_is_a_running_one():
    report = StageReport()
    for loss in (4.0, 2.0, 1.0):
        report.note_loss(loss)
    assert report.first_loss == 4.0
    assert report.last_loss == pytest.approx(0.9 * (0.9 * 4 + 0.1 * 2) + 0.1 * 1)
