"""What growth measures: processor time, NumPy's memory, and the sizes of what it is measured on."""

import numpy as np
import pytest

from benchmarks.perf.growth.axes import AXES, Piece
from benchmarks.perf.growth.measure import ROUNDS, cpu_seconds, grow, peak_array_bytes
from benchmarks.perf.growth.pieces import Work, drawn_ids


def test_runs_end_with_the_rounds_or_with_the_time():
    calls: list[int] = []
    assert cpu_seconds(lambda: calls.append(1), seconds=60.0) >= 0.0
    assert len(calls) == ROUNDS
    assert cpu_seconds(lambda: calls.append(1), seconds=0.0) >= 0.0
    assert len(calls) == ROUNDS + 1


def test_peak_counts_what_numpy_holds_at_once():
    def work() -> None:
        for _ in range(4):
            np.zeros(1 << 20, dtype=np.uint8)

    assert 1 << 20 <= peak_array_bytes(work) < 1.5 * (1 << 20)


def test_a_piece_is_measured_per_unit_at_each_value():
    runs: list[int] = []

    def prepare(value: int) -> Work:
        def work() -> None:
            runs.append(value)
            np.ones(value * 1000).cumsum()

        return Work(work, 10, 5.0 * value)

    piece = Piece("sums", "number", prepare, "one addition each", 1.0, tensors=False)
    growth = grow(piece, (10, 20, 40), seconds=0.0)
    assert [point.value for point in growth.points] == [10, 20, 40]
    assert [point.cost for point in growth.points] == [5.0, 10.0, 20.0]
    assert growth.slopes(half=False)[2] == pytest.approx(1.0, abs=0.05)
    # Untimed, timed and once more for its memory; the larger ones are warm.
    assert runs == [10, 10, 10, 20, 20, 40, 40]


def test_the_memory_of_what_takes_too_long_is_not_asked_for(monkeypatch):
    monkeypatch.setattr("benchmarks.perf.growth.measure.LONGEST", -1.0)
    piece = Piece("sums", "number", lambda value: Work(lambda: None, 1, 1.0), "", 1.0)
    assert [point.peak for point in grow(piece, (1, 2), seconds=0.0).points] == [None, None]


@pytest.mark.parametrize("shape", [(3000, 2, 64), (3000, 3, 16), (3000, 8, 64), (9, 2, 3)])
def test_drawn_semantic_ids_are_distinct_and_of_the_shape_asked_for(shape):
    ids = drawn_ids(*shape)
    assert (ids.num_items, ids.num_levels, ids.num_codes) == shape
    assert ids.distinct == ids.num_items


def test_every_axis_covers_the_range_that_is_promised():
    ends = {name: (axis.values[0], axis.values[-1]) for name, axis in AXES.items()}
    assert ends["items"] == (1_000, 100_000)
    assert ends["history"] == ends["beam"] == (5, 200)
    assert ends["vocabulary"] == (8_384, 150_000)
    assert all(list(axis.values) == sorted(set(axis.values)) for axis in AXES.values())
