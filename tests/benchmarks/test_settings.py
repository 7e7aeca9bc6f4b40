"""The settings that come with gti-bench: complete, hashed, and with their Semantic IDs."""

import os

import pytest

from baselines.registry import methods
from benchmarks.catalogue import SETTINGS, find_setting, setting_names
from benchmarks.datasets import CARDS
from benchmarks.inputs import COMMITTED_SIDS, load_inputs, sids_file_name
from gti.semantic_ids import SemanticIds
from gti.wordings import ALIGNMENT_TASKS
from leaderboard.setting import SettingError, parse_setting


@pytest.mark.parametrize("name", setting_names())
def test_semantic_ids_are_committed_under_the_settings_hash(name):
    setting = find_setting(name).setting
    sids = SemanticIds.from_file(COMMITTED_SIDS / sids_file_name(setting))
    spec = setting.semantic_ids
    assert sids.sha256 == spec.sha256
    assert (sids.num_levels, sids.num_codes) == (spec.levels, spec.codes)
    assert sids.codebooks is not None
    assert sids.description["dataset"] == setting.dataset.sha256
    assert sids.collision_rate < 0.001


@pytest.mark.parametrize("name", setting_names())
def test_settings_name_what_exists(name):
    file = find_setting(name)
    assert file.setting.dataset.name in CARDS
    assert set(file.methods) <= set(methods())
    assert set(file.setting.auxiliary.tasks) <= set(ALIGNMENT_TASKS)
    assert max(file.setting.evaluation.cutoffs) <= file.setting.decoding.beam


def test_no_two_settings_share_a_hash():
    hashes = [find_setting(name).setting.hash for name in setting_names()]
    assert len(set(hashes)) == len(hashes) == 4


def test_a_method_table_changes_the_methods_hash_and_not_the_settings():
    text = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
    plain = parse_setting(text, "plain")
    tuned = parse_setting(text + "\n[method.gti]\nsft_learning_rate = 2e-3\n", "tuned")
    assert plain.setting.hash == tuned.setting.hash
    assert tuned.parameters("gti").sft_learning_rate == 2e-3
    assert tuned.parameters("mean") == plain.parameters("mean")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("passes = 1.5", "passes = 0.0", "sft.passes"),
        ('quantiser = "residual_kmeans"', 'quantiser = "kmeans"', "semantic_ids.quantiser"),
        ("codes = 64", "codes = 64\ncolour = 1", "semantic_ids.colour"),
        ("beam = 100", "beam = ", "not valid TOML"),
        ('seen_items = "keep"', "", "dataset.seen_items"),
    ],
)
def test_a_setting_that_cannot_be_used_names_the_field(old, new, named):
    text = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(SettingError, match=named):
        parse_setting(text.replace(old, new), "file.toml")


@pytest.mark.parametrize("name", ["scientific-smollm2", "beauty-smollm2"])
def test_the_amazon_settings_load_where_their_data_is(name):
    if not os.environ.get("GTI_BENCH_DATA"):
        pytest.skip("GTI_BENCH_DATA is not set: the Amazon files are the user's to bring")
    inputs = load_inputs(find_setting(name).setting, offline=True)
    assert inputs.semantic_ids.num_items == inputs.dataset.num_items
