"""Parts of a run: each cell in one of them, the same wherever it is asked."""

import pytest

from baselines.registry import select_methods
from benchmarks.inputs.catalogue import find_setting
from benchmarks.run.options import CommandError
from benchmarks.run.plan import plan_cells
from benchmarks.run.shard import Shard, parse_shard


def array(task, first, last, step=None, count=None):
    """SLURM's variables of a task."""
    values = {"ID": task, "MIN": first, "MAX": last, "STEP": step, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(v) for name, v in values.items() if v is not None}


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

    assert parse_shard("slurm", array(0, 0, 3)) == Shard(1, 4)
    assert parse_shard("slurm", array(4, 1, 4)) == Shard(4, 4)
    assert parse_shard("slurm", array(9, 1, 13, 4, 4)) == Shard(3, 4)
    assert parse_shard("slurm", array(2, 1, 4, 0, 4)) == Shard(2, 4)
    assert parse_shard("slurm/4", array(3, 3, 3, 1, 1)) == Shard(3, 4)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("5/4", {}, "--shard 5/4: there is no part 5; those of 4 are 1 to 4"),
        ("0/4", {}, "there is no part 0"),
        ("2", {}, "takes a part as 2/4, or slurm, or slurm/4; found '2'"),
        ("a/b", {}, "takes a part as 2/4"),
        ("slurm", {}, "SLURM_ARRAY_TASK_ID is not set, so this is no task of an array"),
        ("slurm/4", {}, "SLURM_ARRAY_TASK_ID is not set, so this is no task of an array"),
        ("slurm/4", array(5, 1, 5), "there is no part 5; those of 4 are 1 to 4"),
        ("slurm", array(3, 1, 9, 4), "task 3 is one of 3 between 1 and 9: an array with gaps"),
        # --array=1,3
        ("slurm", array(3, 1, 3, 1, 2), "task 3 is one of 2 between 1 and 3: an array with gaps"),
        # --array=3, once part 3 of 1-4 is to be done again
        (
            "slurm",
            array(3, 3, 3, 0, 1),
            "task 3 is alone in its array, and would do all cells; say",
        ),
    ],
)
def test_what_is_no_part_is_one_line(text, environment, message):
    with pytest.raises(CommandError) as raised:
        parse_shard(text, environment)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
