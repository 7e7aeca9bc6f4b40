"""What a cell and its Semantic IDs are expected to cost, by hand."""

import numpy as np
import pytest
import torch

from benchmarks.cell import treatment as treatment_module
from benchmarks.cell.retention import windows
from benchmarks.estimate import time as time_module
from benchmarks.estimate.flops import (
    ENGLISH_TOKENS,
    SAMPLE,
    cell_flops,
    chat_tokens,
    extra_flops,
    forward_flops,
    measuring,
    scoring,
    sft_flops,
    training_pass,
    treatment,
)
from benchmarks.estimate.plan import cell_seconds
from benchmarks.estimate.time import (
    encoding_flops,
    estimate,
    matrix_rate,
    quantising_seconds,
    ranks_bytes,
    seconds_of,
)
from benchmarks.estimate.workload import Asked, Workload, workload_of, workload_of_card
from benchmarks.inputs.backbone_sizes import backbone_size
from benchmarks.inputs.backbones import load_backbone
from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_inputs
from gti.model import devices
from leaderboard.records.setting import Setting

GROUNDS = {"before": 1.0}


def setting_of(name: str) -> Setting:
    return find_setting(name).setting


def items_of(count: int, text_tokens: float) -> Workload:
    return Workload(
        train_lengths=[3],
        num_items=count,
        text_tokens=text_tokens,
        prefixes=0,
        pairs=0,
        pair_text=0.0,
    )


@pytest.mark.parametrize("hardware", ["AMX", "emulated"])
def test_the_rate_is_that_of_the_dtype_that_will_be_computed_in(monkeypatch, hardware):
    setting = setting_of("ml-100k-smollm2")
    size, work = backbone_size(setting.backbone.name), workload_of_card(setting)
    rates = {"float32": 1e11, "bfloat16": 4e11}
    monkeypatch.setattr(devices, "cpu_bfloat16", lambda: hardware)
    monkeypatch.setattr(time_module, "product_flops", rates.__getitem__)
    found = estimate(setting, work, "cpu", [], size, [GROUNDS])
    monkeypatch.setitem(rates, "float32" if hardware == "AMX" else "bfloat16", 1.0)
    assert (
        estimate(setting, work, "cpu", [], size, [GROUNDS]) == found
    )  # the other rate is not looked at
    dtype = "bfloat16" if hardware == "AMX" else "float32"
    monkeypatch.setitem(rates, dtype, 2 * rates[dtype])
    twice = estimate(setting, work, "cpu", [], size, [GROUNDS])
    assert twice.seconds - 15 == pytest.approx((found.seconds - 15) / 2)
    assert dtype in found.basis
    assert (found.note is None) == (hardware == "AMX")


def test_a_rate_is_measured_on_the_threads_asked_for():
    before = torch.get_num_threads()
    assert 1e7 < matrix_rate("cpu", "float32", threads=1) < 1e15
    assert torch.get_num_threads() == before


def test_chat_prompts_of_a_block_share_what_stands_before_the_answers():
    assert chat_tokens(1, 20, 4) == 0  # nothing to ask about
    assert chat_tokens(2, 20, 4) == 40 + 4 + 20 + 4
    assert chat_tokens(21, 20, 4) == 40 + 20 * (4 + 20 + 4)
    assert chat_tokens(24, 20, 4) == chat_tokens(21, 20, 4) + chat_tokens(4, 20, 4)


def test_an_rq_vae_costs_its_products_and_its_steps():
    setting = setting_of("vibrent-qwen3-0.6b")
    work = items_of(10, 5.0)
    layers = 1024 * 1024 + 1024 * 512 + 512 * 256 + 256 * 32
    item = 6 * 2 * layers + 3 * 2 * 4 * 256 * 32 + 10 * 256 * 50
    assert quantising_seconds(setting, work, 1024, 1e9) == pytest.approx(
        20_000 * 10 * item / 1e9 + 20_000 * 0.01
    )
    assert encoding_flops(setting, work, 440) == 2 * 440 * 10 * 5


def test_the_committed_rq_vae_took_about_what_is_estimated():
    # docs/tokenizers.md: 2.1 minutes for 500 epochs of ml-100k-nano-rqvae, on cores that reach
    # 50 GFLOP/s of which training gets a third.
    work = items_of(1682, 10.0)
    seconds = quantising_seconds(setting_of("ml-100k-nano-rqvae"), work, 384, 0.35 * 50e9)
    assert 126 / 2 < seconds < 126 * 2


def test_the_card_stands_in_for_data_that_are_not_here():
    work = workload_of_card(setting_of("vibrent-qwen3-0.6b"))
    assert work is not None
    assert (len(work.train_lengths), work.num_items) == (2_200, 15_800)
    # 64,000 interactions of 2,200 users, two of each held out.
    assert set(work.train_lengths) == {27}
    assert work.prefixes == 256 + 15_800 + 15_800


def test_without_data_and_a_card_nothing_is_expected(write_setting, tmp_path):
    assert workload_of_card(setting_of(str(write_setting(tmp_path)))) is None


def test_the_data_themselves_are_counted(write_setting, tmp_path):
    setting = setting_of(str(write_setting(tmp_path)))
    inputs = load_inputs(setting, 0, offline=True)
    work = workload_of(setting, inputs, inputs.semantic_ids)
    lengths = [len(history) - 2 for history in inputs.dataset.histories]
    assert sorted(work.train_lengths) == sorted(lengths)
    assert work.prefixes == len(np.unique(inputs.semantic_ids.codes[:, 0])) == 6
    targets = 2 * sum(lengths)
    assert training_pass(setting, work) == (
        targets + 10 * sum(-(-n // 10) for n in lengths),
        targets,
    )
    prompts = sum(2 * min(n + 1, 9) + 30 for n in lengths)
    assert scoring(setting, work) == (2 * (prompts + 40 * 20), 2 * 40 * (1 + 20))
    assert work.pairs == 6 * 54  # a tenth of the sixty items is held out
    titles, details = zip(*(texts.values() for texts in inputs.dataset.texts), strict=True)
    mean = 2 * (len("".join(titles)) + len("".join(details))) / 3 / 3 / 60
    assert work.pair_text == pytest.approx(mean, rel=0.05)
    assert ranks_bytes(work) == 40 * 2 * 60


def test_what_is_measured_beside_the_ranks_is_counted(write_setting, tmp_path):
    setting = setting_of(str(write_setting(tmp_path)))
    inputs = load_inputs(setting, 0, offline=True)
    work = workload_of(setting, inputs, inputs.semantic_ids)
    prompts = sum(2 * min(n + 1, 9) + 30 for n in work.train_lengths)
    losses = 5 * (prompts + 40)  # both parts, and validation at three points; a code each
    sampled = 3 * (prompts + 40 * 20) * 10 / 40
    heads = 5 * 40 * 2 + 3 * 40 * 21 * 10 / 40
    found = measuring(setting, work)
    assert found == pytest.approx((losses + sampled + 3000, heads + 3000))
    # Pairs, six ways, and the title once more.
    checks = (60 + 6) * (7 * (8 + work.pair_text + 2) + 20)
    assert treatment(setting, work)[0] == pytest.approx(checks)
    assert SAMPLE == treatment_module.SAMPLE
    tokens = sum(len(each) for each in windows(load_backbone("nano").tokenizer, None))
    assert 0.5 < 2 * tokens / ENGLISH_TOKENS < 2


def test_a_run_expects_of_a_cell_what_its_flops_take(write_setting, tmp_path, monkeypatch):
    setting = setting_of(str(write_setting(tmp_path)))
    inputs = load_inputs(setting, 0, offline=True)
    size = backbone_size(setting.backbone.name)
    monkeypatch.setattr(time_module, "product_flops", {"float32": 1e10}.__getitem__)
    work = workload_of(setting, inputs, None)
    expected = estimate(setting, work, "cpu", [], size, [GROUNDS]).seconds
    assert cell_seconds(setting, inputs, "cpu") == expected > 15
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU of tomorrow")
    assert cell_seconds(setting, inputs, "cuda") is None


def test_queries_are_counted_and_expected():
    work = workload_of_card(setting_of("ml-100k-search-nano"))
    assert work is not None
    assert work.queries is not None
    per_item = setting_of("ml-100k-search-nano").queries.per_item
    assert work.queries.train == (per_item - 2) * 1_682
    assert ranks_bytes(work) == 3 * 2 * 1_682


def test_queries_of_the_rule_of_kinds_are_counted_by_shares_ways_and_the_sample():
    setting = setting_of("ml-100k-language-nano")
    work = workload_of_card(setting)
    # 60 % of the items have four training queries; all have one a way for each held-out part.
    assert (work.num_items, work.queries.train) == (1_682, 4 * 1_009)
    assert work.queries.scored == 2 * 2 * 1_682
    rule = setting.queries.warm_cold_new.model_copy(update={"items": 500})
    queries = setting.queries.model_copy(update={"warm_cold_new": rule})
    sample = workload_of_card(setting.model_copy(update={"queries": queries}))
    assert (sample.num_items, sample.queries.train) == (500, 4 * 300)


@pytest.fixture
def searched():
    """A setting of the retrieval track in bfloat16, and the workload of 1,500 items' titles."""
    content = setting_of("ml-100k-language-nano").model_dump(mode="json")
    content["backbone"] |= {"name": "smollm2-135m", "dtype": "bfloat16"}
    content["prompts"] |= {"style": "plain", "max_text_tokens": 48}
    content["sft"] |= {"passes": 3.0, "steps": None}
    content["extra"] = {"grounding_passes": 5.0}
    content["decoding"]["beam"] = 20
    content["evaluation"] |= {"validation_users": 200, "curve_points": 4, "cutoffs": [1, 10, 20]}
    queries = Asked(train=5353, scored=5050, relevant=5973, tokens=4.3)
    work = Workload(
        train_lengths=[], num_items=1500, text_tokens=167.0, prefixes=1042, pairs=2310,
        pair_text=28.5, queries=queries,
    )  # fmt: skip
    return Setting.model_validate(content), work, backbone_size("smollm2-135m")


def test_a_cell_in_bfloat16_takes_about_what_was_measured(searched):
    """Products at 205 GFLOP/s on one thread (docs/performance.md); within a factor of 1.5."""
    setting, work, size = searched
    steps = 3 * 5353 / 32
    peers = 1010 * 0.35  # seconds: a query among 300 items
    measured = {
        "sft": (sft_flops(setting, work, size), steps * 242e9),
        "score": (forward_flops(size, *scoring(setting, work)), 5050 * 13.4e9 + peers * 205e9),
        "mean": (_minutes(cell_flops(setting, work, size, {})), 16 + 13 + peers / 60),
        "gti": (_minutes(cell_flops(setting, work, size, GROUNDS)), 16 + 13 + 25 + 4 + peers / 60),
        "grounding": (_minutes(extra_flops(setting, work, size, GROUNDS)), 25),
        "checks": (_minutes(forward_flops(size, *treatment(setting, work))), 4),
    }
    for what, (expected, found) in measured.items():
        assert 1 / 1.5 < expected / found < 1.5, what


def _minutes(flops: float) -> float:
    return seconds_of(flops, "cpu", "bfloat16", 205e9) / 60


def test_a_cell_costs_what_its_method_spends(searched):
    setting, work, size = searched
    beside = extra_flops(setting, work, size, {"beside": 1.0})
    # In nominal FLOPs the plain form: the head at each of a pair's tokens, and its gradient.
    tokens = 8 + 28.5 + 3
    shape = size.shape
    nominal = 4 * shape.body * tokens + 6 * shape.matrix_rows * shape.width * tokens
    assert beside == pytest.approx(5 * 2310 * nominal)
    before = extra_flops(setting, work, size, GROUNDS)
    assert before < beside
    half = extra_flops(setting, work, size, {"before": 0.5, "beside": 0.5})
    assert half == pytest.approx((before + beside) / 2)
    assert extra_flops(setting, work, size, {}) == 0
    none, checked = (cell_flops(setting, work, size, own) for own in ({}, GROUNDS))
    checks = forward_flops(size, *treatment(setting, work))
    assert checked - none == pytest.approx(before + checks)
