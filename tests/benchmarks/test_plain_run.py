"""`run --plain` on the golden cell: the same ranks, and records that never mix with others."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.registry import methods
from benchmarks.cell.cell import run_cell
from benchmarks.cell.spec import CellSpec
from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_inputs
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.run.options import CommandError, RunOptions
from benchmarks.run.plan import plan_cells
from benchmarks.run.run import run_setting
from leaderboard.board.board import LeaderboardError, check_mix
from leaderboard.records.cells import load_cell
from leaderboard.records.ranks import LOSSES, read_ranks
from leaderboard.records.record import ranks_path
from leaderboard.records.setting import MethodParameters
from leaderboard.verify.origin import context, origin_of
from leaderboard.verify.verify import verify

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def run(setting, method, folder, *, plain=False):
    """Runs one cell of the golden setting, or of one made from it; returns its record's path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(GOLDEN)
        torch.set_num_threads(1)
        spec = CellSpec(
            setting=setting,
            parameters=MethodParameters(),
            method=methods()[method],
            seed=0,
            inputs=load_inputs(setting, 0, offline=True),
            device=torch.device("cpu"),
            offline=True,
            plain=plain,
        )
        return run_cell(spec, folder)


def golden():
    return find_setting(str(GOLDEN / "golden.toml")).setting


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Results folders of the same cell by form: `gti`, seed 0, of the golden setting."""
    results = {p: tmp_path_factory.mktemp("plain" if p else "fast") for p in (False, True)}
    for plain, folder in results.items():
        run(golden(), "gti", folder, plain=plain)
    return results


@pytest.fixture
def cells(runs):
    return {p: load_cell(folder / "golden" / "gti" / "seed-0.json") for p, folder in runs.items()}


def test_plain_forms_give_the_same_ranks_and_losses(cells):
    fast, plain = cells[False], cells[True]
    ranks = [read_ranks(ranks_path(cell.path)) for cell in (fast, plain)]
    counts = [np.stack([rows.in_beam, rows.num_better, rows.num_tied]) for rows in ranks]
    # Rounding may turn two items whose scores are next to each other: one user in twenty at most.
    assert (counts[0] == counts[1]).all(axis=0).mean() >= 0.95
    for loss in LOSSES:
        np.testing.assert_allclose(*(getattr(rows, loss) for rows in ranks), rtol=1e-3)
    for ours, theirs in zip(*(c.record.treatment.pairs for c in (fast, plain)), strict=True):
        assert math.isclose(ours.true, theirs.true, rel_tol=1e-4)
        assert math.isclose(ours.permuted, theirs.permuted, rel_tol=1e-4)
    assert math.isclose(fast.record.retention.after, plain.record.retention.after, rel_tol=1e-3)
    for stage in ("grounding", "sft"):
        ours, theirs = fast.record.cost[stage], plain.record.cost[stage]
        assert math.isclose(ours.last_loss, theirs.last_loss, rel_tol=1e-4)
        assert ours.nominal_flops == theirs.nominal_flops == theirs.actual_flops
    assert fast.record.cell_hash == plain.record.cell_hash


def test_a_plain_record_says_so_and_passes_verification(cells, runs):
    assert cells[True].record.code.plain is True
    assert cells[False].record.code.plain is None
    assert [finding for finding in verify(runs[True]) if finding.level == "error"] == []
    origins = [origin_of(cells[plain].record) for plain in (True, False)]
    assert "fast forms, recorded in plain ones" in context(*origins, 0)


def test_plain_and_fast_records_do_not_stand_for_each_other(cells, runs, monkeypatch):
    monkeypatch.chdir(GOLDEN)
    file = find_setting("golden.toml")
    states = {
        (lies, asked): plan_cells(file, [methods()["gti"]], [0], folder, plain=asked)[0].state
        for lies, folder in runs.items()
        for asked in (False, True)
    }
    assert states == {
        (False, False): "done",
        (True, True): "done",
        (False, True): "other",
        (True, False): "other",
    }
    with pytest.raises(LeaderboardError, match="run with --plain"):
        check_mix(list(cells.values()))


def test_a_setting_can_ask_for_exact_scoring(tmp_path):
    setting = golden()
    exact = setting.decoding.model_copy(update={"method": "exact"})
    path = run(setting.model_copy(update={"decoding": exact}), "random", tmp_path)
    accounting = load_cell(path).record.accounting
    assert accounting.beam_used_min == min(exact.beam, accounting.distinct_sids)
    assert [finding for finding in verify(tmp_path) if finding.level == "error"] == []


def test_the_committed_board_takes_no_plain_records():
    options = RunOptions(results=COMMITTED_RESULTS, device="cpu", offline=True, plain=True)
    with pytest.raises(CommandError, match="takes no records made with --plain"):
        run_setting("ml-100k-nano", "gti", None, options, print)
