"""The memory formula beside what records of real cells measured."""

import pytest

from benchmarks.estimate.memory import SCORING_TOKENS, TRAINING_TOKENS, memory_bytes
from benchmarks.estimate.workload import workload_of_card
from benchmarks.inputs.backbone_sizes import backbone_size
from benchmarks.inputs.catalogue import find_setting
from benchmarks.machine.places import COMMITTED_RESULTS
from leaderboard.records.record import read_record


def test_the_limits_are_those_that_cells_keep() -> None:
    from benchmarks.cell import scoring, train

    assert train.MAX_TOKENS == TRAINING_TOKENS
    assert scoring.MAX_TOKENS == SCORING_TOKENS


@pytest.mark.parametrize("name", ["ml-100k-nano", "ml-100k-search-nano"])
def test_records_measured_what_is_estimated(name: str) -> None:
    setting = find_setting(name).setting
    size, work = backbone_size(setting.backbone.name), workload_of_card(setting)
    assert size is not None
    assert work is not None
    estimated = memory_bytes(setting, size, work, "cpu", "float32")
    if not any((COMMITTED_RESULTS / name).glob("*/seed-0.json")):
        pytest.skip(f"no records of {name} are committed")
    checked = 0
    for path in sorted((COMMITTED_RESULTS / name).glob("*/seed-0.json")):
        record = read_record(path)
        if record.kind == "cell":
            peak = max(cost.peak_memory_bytes or 0 for cost in record.cost.values())
            assert 1 / 1.5 < estimated / peak < 1.5, f"{path}: {peak}, estimated {estimated}"
            checked += 1
    assert checked >= 3
