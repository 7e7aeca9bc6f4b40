"""Parts of a run: each cell in one of them, the same wherever it is asked."""

import pytest

from baselines.registry import select_methods
from benchmarks.inputs.catalogue import find_setting
from benchmarks.run.options import CommandError
from benchmarks.run.plan import plan_cells
from benchmarks.run.shard import Shard, parse_shard


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    file, folder = find_setting("ml-100k-nano"), tmp_path_factory.mktemp("results")
    keys = "mean,random,gti,gti_shuffled,lc_rec,mean_matched,random_matched,mean_rows_first"
    return plan_cells(file, select_methods(keys), [0, 1, 2], folder)


@pytest.mark.parametrize("count", [1, 3, 4, 24, 30])
def test_every_cell_is_in_one_part(cells, count):
    parts = [Shard(number, count).of(cells) for number in range(1, count + 1)]
    assert sorted(cell.label for part in parts for cell in part) == sorted(c.label for c in cells)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_long_cells_are_dealt_out_evenly(cells):
    parts = [Shard(number, 4).of(cells) for number in (1, 2, 3, 4)]
    for long in ({"beside", "after"}, {"beside", "after", "before"}):
        held = [sum(bool(long & cell.card.spends.keys()) for cell in part) for part in parts]
        assert max(held) - min(held) <= 1
    assert all(len(part) == 6 for part in parts)


def test_parts_are_read_from_text_and_from_slurms_variables():
    assert parse_shard(None) is None
    assert parse_shard("2/4") == Shard(2, 4)

    def array(task, first, last, step=None):
        values = {"ID": task, "MIN": first, "MAX": last, "STEP": step}
        return {f"SLURM_ARRAY_TASK_{name}": str(v) for name, v in values.items() if v is not None}

    assert parse_shard("slurm", array(0, 0, 3)) == Shard(1, 4)
    assert parse_shard("slurm", array(4, 1, 4)) == Shard(4, 4)
    assert parse_shard("slurm", array(9, 1, 13, 4)) == Shard(3, 4)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("5/4", {}, "--shard 5/4: there is no such part; those of 4 are 1 to 4"),
        ("0/4", {}, "there is no such part"),
        ("2", {}, "takes a part as 2/4, or slurm; found '2'"),
        ("a/b", {}, "takes a part as 2/4"),
        ("slurm", {}, "SLURM_ARRAY_TASK_ID is not set, so this is no task of an array"),
        (
            "slurm",
            {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "9",
             "SLURM_ARRAY_TASK_STEP": "4"},
            "task 3 is none of 1 to 9 in steps of 4",
        ),
    ],
)  # fmt: skip
def test_what_is_no_part_is_one_line(text, environment, message):
    with pytest.raises(CommandError) as raised:
        parse_shard(text, environment)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
