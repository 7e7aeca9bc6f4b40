"""How two ways are compared: untimed rounds, best rounds, several batches of the plain way."""

import pytest
import torch

from benchmarks.perf.side_by_side import SideBySide


class Benchmark:
    """Runs as pytest-benchmark's `pedantic` does, without measuring anything itself."""

    def __init__(self):
        self.extra_info = {}

    def pedantic(self, target, setup, rounds, warmup_rounds):
        for _ in range(warmup_rounds + rounds):
            setup()
            target()


class Clock:
    """A clock that moves only when work is done."""

    def __init__(self):
        self.now = 0.0

    def working(self, *seconds):
        """Work that takes these seconds, call by call, and the last of them ever after."""
        left = list(seconds)

        def work():
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return work


def compared(plain, fast, clock, **options):
    """The comparison of two ways that move `clock`, 12 units a call of ours."""
    session, benchmark = SideBySide(torch.device("cpu")), Benchmark()
    session.clock = lambda: clock.now
    options = {"units": 12, "unit": "things", "peaks": (None, 3 << 20), **options}
    session.run(benchmark, "batches of {plain}", plain, fast, **options)
    (comparison,) = session.results
    return comparison, session.table(), benchmark.extra_info


def test_the_first_round_is_not_timed_and_the_best_of_the_others_counts():
    clock = Clock()
    plain, fast = clock.working(0.5, 8.0, 6.0, 7.0), clock.working(9.0, 4.0, 2.0, 3.0)
    found, _, info = compared(plain, fast, clock)
    assert (found.plain, found.fast, found.ratio) == (2.0, 6.0, 3.0)
    assert info["ratio"] == 3.0
    assert found.what == "batches of 12"


def test_without_a_warm_round_every_round_counts():
    clock = Clock()
    found, _, _ = compared(clock.working(6.0), clock.working(1.0, 2.0), clock, rounds=2, warm=False)
    assert (found.plain, found.fast) == (2.0, 12.0)


def test_of_several_batches_the_one_that_is_quickest_per_unit_counts():
    clock = Clock()
    ways = {1: clock.working(1.0), 4: clock.working(2.0), 16: clock.working(10.0)}
    found, table, _ = compared(ways, clock.working(1.0), clock)
    assert found.what == "batches of 4"
    assert (found.plain, found.ratio) == (2.0, 6.0)
    assert found.plain_batches == {1: 1.0, 4: 2.0, 16: 1.6}
    assert table[-1].endswith("by batch: 1: 1.00, 4: 2.00, 16: 1.60")


@pytest.mark.parametrize("several", [False, True])
def test_the_table_has_a_line_per_comparison_and_shows_what_was_measured(several):
    clock = Clock()
    plain = clock.working(6.0)
    found, table, _ = compared({12: plain, 6: plain} if several else plain, plain, clock)
    assert table[1].split() == ["batches", "of", "12", "things", "2.0", "2.0", "1.00", "3.0", "MiB"]
    assert len(table) == 2 + several
    assert found.plain_peak is None
