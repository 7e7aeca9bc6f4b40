"""Primary contrasts name methods that there are, and slices that the setting has."""

from pathlib import Path

import pytest

from baselines.registry import methods
from benchmarks.inputs.catalogue import _is_method, find_setting, slices_of
from benchmarks.inputs.inputs import load_data
from benchmarks.machine.places import SETTINGS
from leaderboard.metrics.slices import check_slice_name
from leaderboard.records.setting import SettingError

PRIMARY = """
[primary]
outcome = "{outcome}"
margin = 0.05
rule = "fixed order"

[[primary.contrasts]]
a = "{a}"
b = "{b}"
on = {on}
claim = "a is better"
"""


def written(
    folder: Path,
    shipped: str,
    a: str = "gti",
    b: str = "mean",
    on: str = "[]",
    outcome: str = "trie_nll",
) -> str:
    """A copy of a shipped setting with one primary contrast; its path."""
    path = folder / f"{shipped}.toml"
    text = (SETTINGS / f"{shipped}.toml").read_text(encoding="utf-8").partition("[primary]")[0]
    path.write_text(text + PRIMARY.format(a=a, b=b, on=on, outcome=outcome), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("key", ["gti", "mean", "noisy_mean"])
def test_contrasts_of_methods_that_there_are_are_taken(tmp_path, key):
    file = find_setting(written(tmp_path, "ml-100k-nano", "gti_shuffled", key))
    assert file.setting.primary.contrasts[0].b == key


@pytest.mark.parametrize("shipped", ["registry", "gtl", "popularity"])
def test_a_contrast_of_an_unknown_method_is_one_line_with_the_nearest(tmp_path, shipped):
    with pytest.raises(SettingError) as caught:
        find_setting(written(tmp_path, "ml-100k-nano", b=shipped, a="mean"))
    said = str(caught.value)
    assert f"primary contrast mean − {shipped}: there is no method {shipped!r}" in said
    assert ("did you mean 'gti'?" in said) == (shipped == "gtl")
    assert "\n" not in said


def test_what_is_a_method_is_what_the_registry_says():
    asked = [*methods(), "registry", "__init__", "nobody"]
    assert {key for key in asked if _is_method(key)} == set(methods())


@pytest.mark.parametrize(
    ("setting", "on", "wrong"),
    [
        ("ml-100k-nano", '["transition:seen", "popularity:tail"]', "transition:sen"),
        ("ml-100k-search-nano", '["queries:item", "queries:category"]', "transition:seen"),
        ("ml-100k-language-nano", '["queries:new-detail"]', "queries:new"),
    ],
)
def test_slices_that_the_setting_cannot_have_are_refused(tmp_path, setting, on, wrong):
    assert find_setting(written(tmp_path, setting, on=on)).setting.primary.contrasts[0].on
    with pytest.raises(SettingError, match=f"has no slice '{wrong}'.* it has "):
        find_setting(written(tmp_path, setting, on=f'["{wrong}"]'))


@pytest.mark.parametrize(
    ("setting", "scored", "wrong"),
    [
        ("ml-100k-nano", "mrr@50", "precision_good@10"),
        ("ml-100k-nano", "nll", "peer_auc"),
        ("ml-100k-search-nano", "precision_any@10", "peer_auc"),
    ],
)
def test_outcomes_that_the_track_does_not_score_are_refused(tmp_path, setting, scored, wrong):
    file = find_setting(written(tmp_path, setting, outcome=scored))
    assert file.setting.primary.outcome == scored
    with pytest.raises(SettingError, match=f"primary.outcome {wrong} is not scored .*{scored}"):
        find_setting(written(tmp_path, setting, outcome=wrong))


def test_an_outcome_among_peers_is_not_declared_on_items_that_have_none(tmp_path):
    name, on = "ml-100k-language-nano", '["queries:cold-title", "queries:{}-title"]'
    assert find_setting(written(tmp_path, name, on=on.format("new"), outcome="peer_auc"))
    assert find_setting(written(tmp_path, name, outcome="peer_auc"))
    with pytest.raises(SettingError, match="queries for warm items have no peer_auc"):
        find_setting(written(tmp_path, name, on=on.format("warm"), outcome="peer_auc"))


@pytest.mark.parametrize("name", ["ml-100k-search-nano", "ml-100k-language-nano"])
def test_slices_of_queries_are_those_that_its_test_queries_fall_into(movielens_folder, name):
    setting = find_setting(name).setting
    queries = load_data(setting, offline=True).queries
    found = {f"queries:{query.key.partition('/')[0]}" for query in queries.of("test")}
    assert found == set(slices_of(setting))
    assert {check_slice_name(each) for each in found} == found
