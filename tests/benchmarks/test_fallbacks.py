"""A cell on a device and with a backbone that lack what is usual: same figures, and it says so."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.cell import ledger as ledger_module
from gti.model import devices
from gti.search import reading
from leaderboard.records.record import read_record
from leaderboard.verify.verify import verify


@pytest.fixture(scope="module")
def records(tmp_path_factory, write_setting, cell_here):
    """By name: a float32 cell, and a bfloat16 one on a device that lacks everything."""
    folder = tmp_path_factory.mktemp("fallbacks")
    changes = {"passes": "1.0", "validation_users": "4"}
    rates = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "device_flops", lambda _, dtype: rates.append(dtype) or 1e12)
        usual = cell_here(write_setting(folder, "usual", **changes), "gti", folder / "results")
        rates.clear()
        patch.setattr(devices, "has_bfloat16", lambda device: False)
        patch.setattr(reading, "KNOWN_LAYERS", ())
        path = write_setting(folder, "lacking", dtype='"bfloat16"', **changes)
        with sdpa_kernel([SDPBackend.MATH]):
            lacking = cell_here(path, "gti", folder / "results")
    return folder / "results", read_record(usual), read_record(lacking), rates


def test_what_is_usual_is_not_said(records):
    _, usual, _, _ = records
    assert (usual.environment.dtype, usual.environment.attention) == ("float32", "sdpa: flash")
    assert not [each for each in usual.warnings if each.startswith(("dtype", "attention", "score"))]


def test_each_fallback_is_a_sentence_in_the_record(records):
    _, _, lacking, rates = records
    assert lacking.setting.backbone.dtype == "bfloat16"
    assert (lacking.environment.dtype, lacking.environment.attention) == ("float32", "sdpa: math")
    dtype, attention, score = lacking.warnings[:3]
    assert dtype.startswith("dtype: the setting's is bfloat16")
    assert "computed in float32" in dtype
    assert attention.startswith("attention: no flash kernel for float32")
    assert score.startswith("score: prompts were read with calls of the whole model")
    assert "LlamaDecoderLayer" in score
    assert set(rates) == {"float32"}  # utilisation is that of the dtype computed in


def test_the_figures_are_those_of_float32_up_to_rounding(records):
    _, usual, lacking, _ = records
    for stage in ("grounding", "sft"):
        assert lacking.cost[stage].first_loss == pytest.approx(usual.cost[stage].first_loss, 1e-5)
        assert lacking.cost[stage].last_loss == pytest.approx(usual.cost[stage].last_loss, 1e-3)
    assert torch.finfo(torch.bfloat16).eps > 1e-3  # in which the first loss would show


def test_verify_finds_nothing_wrong_with_it(records):
    results, _, _, _ = records
    assert [each for each in verify(results) if each.level == "error"] == []
