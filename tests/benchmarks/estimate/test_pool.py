"""Cells spread over machines that are not here."""

from itertools import product

import pytest

from benchmarks.estimate.plan import plan_lines
from benchmarks.estimate.pool import Pool, parse_pool, spread
from benchmarks.run.options import CommandError, RunOptions


def best(seconds, devices):
    """The earliest end of all ways to put cells on devices, tried one by one."""
    ends = []
    for places in product(range(len(devices)), repeat=len(seconds)):
        busy = [0.0] * len(devices)
        for cell, place in zip(seconds, places, strict=True):
            busy[place] += cell[devices[place]]
        ends.append(max(busy))
    return min(ends)


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("8xh100,64xcpu", {"h100": 8, "cpu": 64}),
        (" 1xA100 , 2xa100", {"a100": 3}),
    ],
)
def test_a_pool_is_read_as_it_is_written(text, devices):
    assert parse_pool(text).devices == devices


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("8", "found '8'"),
        ("0xcpu", "found '0xcpu'"),
        ("", "found ''"),
        ("999999xcpu", "found '999999xcpu'"),
        ("8xh10", "no such kind; did you mean 'h100'?"),
    ],
)
def test_what_is_no_pool_is_one_line(text, words):
    with pytest.raises(CommandError, match=words.replace("?", r"\?")):
        parse_pool(text)


def test_each_cell_goes_where_it_ends_first():
    quick, slow = {"h100": 1.0, "cpu": 10.0}, {"h100": 4.0, "cpu": 10.0}
    end, spent = spread([quick] * 3, Pool({"h100": 1, "cpu": 2}))
    assert (end, spent) == (3.0, {"h100": 3.0, "cpu": 0.0})
    end, spent = spread([slow] * 5, Pool({"h100": 1, "cpu": 2}))
    assert (end, spent) == (12.0, {"h100": 12.0, "cpu": 20.0})
    assert spread([], Pool({"cpu": 1})) == (0.0, {"cpu": 0.0})


@pytest.mark.parametrize("seconds", [[7, 7, 6, 6, 5, 4, 4], [9, 1, 1, 1, 1], [3, 3, 2, 2, 2]])
def test_it_is_at_most_a_third_longer_than_the_best_on_like_devices(seconds):
    cells = [{"cpu": float(each)} for each in seconds]
    end, spent = spread(cells, Pool({"cpu": 2}))
    least = best(cells, ["cpu", "cpu"])
    assert least <= end <= (4 / 3) * least
    assert spent == {"cpu": float(sum(seconds))}


def test_a_plan_says_what_its_cells_take_there(write_setting, tmp_path):
    setting = write_setting(tmp_path)
    options = RunOptions(results=tmp_path / "results", device="cpu", offline=True)
    *_, gpu, core, every = plan_lines(str(setting), "mean,gti", "0,1", options, "2xh100,1xcpu")
    assert gpu.startswith("h100      2 × NVIDIA H100 80GB HBM3: a cell about ")
    assert gpu.endswith("its data sheet's; assumed)")
    assert core.startswith("cpu       1 × cores like this one: a cell about ")
    assert core.endswith("measured on this machine)")
    assert " on 2xh100,1xcpu; device-hours: h100 " in every
