"""In which order the cells of a run start."""

from baselines.registry import methods
from benchmarks.inputs.catalogue import find_setting
from benchmarks.run.plan import longest_first, plan_cells


def order(keys, seeds, tmp_path):
    """(seed, method) as cells of `keys` at `seeds` start side by side."""
    chosen = [methods()[key] for key in keys]
    cells = plan_cells(find_setting("ml-100k-nano"), chosen, seeds, tmp_path)
    return [(cell.seed, cell.card.key) for cell in longest_first(cells)]


def test_the_long_cells_of_a_seed_start_first_and_no_seed_before_the_one_asked_for(tmp_path):
    keys = ["mean", "random", "gti", "lc_rec"]
    of_one = ["lc_rec", "gti", "mean", "random"]
    expected = [(seed, key) for seed in (2, 0) for key in of_one]
    assert order(keys, [2, 0], tmp_path) == expected


def test_what_trains_on_longer_comes_before_what_grounds_rows_alone(tmp_path):
    keys = ["mean", "gti", "gti_lc_rec", "mean_matched"]
    found = [key for _, key in order(keys, [0], tmp_path)]
    assert found == ["mean_matched", "gti_lc_rec", "gti", "mean"]
