"""Queries of warm, cold and new items through the real command line, and what methods are shown."""

import json
from itertools import islice

import numpy as np
import pytest

from baselines.registry import methods
from benchmarks.cell.notes import shown_of
from benchmarks.cell.prepare import prepare_cell
from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_data, load_inputs
from benchmarks.inputs.semantic_ids import recipe, sids_file_name
from benchmarks.inputs.shown import shown_to_methods
from gti.data.streams import numpy_stream
from gti.method import GroundingPlan
from gti.prompts.alignment import alignment_stream
from gti.train.grounding import grounding_examples
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.records.setting import Setting, SettingError, parse_setting

QUERIES = """
[queries]
rule = "warm_cold_new"
sha256 = "unpinned"
words = 3
category_fields = []
gains = [1.0, 3.0]

[queries.warm_cold_new]
shares = [0.5, 0.25, 0.25]
ways = ["title", "detail"]
train_per_item = 2
held_out_per_item = 1
"""
METHODS = ("mean", "description", "gti", "gti_shuffled", "lc_rec")
KINDS = {f"queries:{kind}-{way}" for kind in ("warm", "cold", "new") for way in ("title", "detail")}
ODD = ["amber", "brass", "clay", "dusty", "elm", "frail", "grey", "hollow"]
HUES = ["indigo", "jade", "khaki", "lilac", "mauve"]
THINGS = ["anchor", "bell", "crown", "drum", "easel", "flute", "gate", "hammer"]


def write_language(write_setting, folder):
    """Titles of three words; details of three words that no title has, two of them of one item."""
    options = {"style": "chat", "validation_users": "20"}
    write_setting(folder, name="language", **options)
    path = folder / "data" / "tiny" / "Tiny.item.json"
    items = json.loads(path.read_text())
    for item, texts in items.items():
        number = int(item)
        texts["description"] = f"{ODD[number % 8]} {THINGS[number // 8]} {HUES[number % 5]}"
    path.write_text(json.dumps(items))
    setting = write_setting(folder, name="language", **options)
    setting.write_text(setting.read_text() + QUERIES)
    return setting


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_setting, gti_bench):
    folder = tmp_path_factory.mktemp("language")
    setting = write_language(write_setting, folder)
    results = folder / "results"
    done = gti_bench(
        "run", setting, "--methods", ",".join(METHODS), "--seeds", "0", "--workers", "1",
        "--results", results,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return setting, results, done


def cell(results, method):
    return results / "language" / method / "seed-0.json"


def test_every_kind_of_query_is_a_slice_of_the_board(finished, gti_bench):
    _, results, _ = finished
    for name in (*METHODS, "popularity", "bm25"):
        assert set(read_record(cell(results, name)).slices) == KINDS
    shown = gti_bench("table", "language", "--results", results, "--slice", "queries:new-detail")
    assert shown.returncode == 0, shown.stderr
    assert "7 records checked, 0 errors" in gti_bench("verify", results).stdout


def test_cold_and_new_items_are_ranked_among_their_own_kind(finished, gti_bench):
    setting, results, _ = finished
    kinds = load_inputs(find_setting(str(setting)).setting, 0, offline=True).queries.kinds
    for name in (*METHODS, "popularity", "bm25"):
        ranks = read_ranks(ranks_path(cell(results, name)))
        assert not ranks.of_split("validation").has_peers
        for user, peers in zip(ranks.user.tolist(), ranks.peers.tolist(), strict=True):
            kind = user.partition("-")[0]
            assert peers in (0, 0 if kind == "warm" else kinds.count(kind) - 1)
        found = read_record(cell(results, name))
        assert 0 < found.metrics["test"]["peer_auc"] < 1
        assert "peer_auc" not in found.slices["queries:warm-title"]
    popularity = read_record(cell(results, "popularity")).slices["queries:new-title"]
    assert popularity["peer_auc"] == 0.5  # no new item is in any training query
    asked = ("language", "--results", results, "--metric", "peer_auc")
    shown = gti_bench("table", *asked, "--slice", "queries:new-title")
    assert shown.returncode == 0, shown.stderr
    shown = gti_bench("table", *asked, "--slice", "queries:warm-title")
    assert shown.returncode == 2
    assert "no target there was ranked among its peers" in shown.stderr
    for command in ("table", "contrasts"):
        done = gti_bench(command, *asked)
        assert done.returncode == 0, done.stderr


def test_without_an_encoder_dense_is_left_out_and_that_is_said(finished):
    _, results, done = finished
    assert not cell(results, "dense").exists()
    assert "reference dense is left out: setting language names no text encoder" in done.stdout


def test_pairs_show_titles_only_and_records_say_what_was_shown(finished):
    setting, results, _ = finished
    inputs = load_inputs(find_setting(str(setting)).setting, 0, offline=True)
    assert {"title_to_sid", "sid_to_title", "query"} == read_record(
        cell(results, "gti")
    ).tasks.keys()
    found = read_record(cell(results, "gti")).treatment.found
    assert set(found) == {"seen", "held_out", "warm", "cold", "new"}
    assert [found[kind].asked for kind in ("seen", "held_out")] == [27 + 15, 3]
    said = {name: " ".join(read_record(cell(results, name)).warnings) for name in METHODS}
    counts = [inputs.queries.kinds.count(kind) for kind in ("warm", "cold", "new")]
    assert counts == [30, 15, 15]
    shown = (
        "of 27 warm items queries{}; of 3 held-out items queries, no text; of 15 cold items {};"
        " of 15 new items nothing"
    )
    assert shown.format("", "nothing") in said["mean"]
    assert shown.format(" and right pairs", "right pairs") in said["gti"]
    assert shown.format(" and wrong pairs", "wrong pairs") in said["gti_shuffled"]
    assert shown.format(" and alignment tasks", "alignment tasks") in said["lc_rec"]


def test_what_was_shown_is_known_of_every_method():
    for key, method in methods().items():
        found = shown_of(method)
        assert found["new"] == ()
        assert found["warm"] == ("queries", *found["cold"])
        assert found["held-out"] == ("queries",)
        asks_cold = bool({"before", "beside"} & set(method.spends)) and key != "mean_rows_first"
        assert bool(found["cold"]) == (asks_cold or method.reads_texts), key
    assert shown_of(methods()["sid_only"])["cold"] == ("Semantic IDs without text",)
    assert shown_of(methods()["token_distillation"])["cold"] == ("right pairs",)
    assert shown_of(methods()["keywords"])["cold"] == ("titles in first rows",)


def test_popularity_is_that_of_training_queries_and_new_items_have_none(finished):
    setting, results, _ = finished
    queries = load_inputs(find_setting(str(setting)).setting, 0, offline=True).queries
    ranks = read_ranks(ranks_path(cell(results, "popularity")))
    kind = {query.key: query.key.partition("-")[0] for query in queries.test}
    rows = ranks.of_split("test")
    found = {"warm": set(), "cold": set(), "new": set()}
    for user, popularity in zip(rows.user.tolist(), rows.target_popularity.tolist(), strict=True):
        found[kind[user]].add(popularity > 0)
    assert found == {"warm": {True}, "cold": {False}, "new": {False}}


def contains(ids, part):
    windows = np.lib.stride_tricks.sliding_window_view(ids, len(part))
    return bool((windows == part).all(axis=1).any())


def test_no_new_item_stands_in_any_pair_or_task(write_setting, spec_of, tmp_path):
    prepared = prepare_cell(spec_of(write_language(write_setting, tmp_path), "lc_rec"))
    inputs, prompter, shown = prepared.spec.inputs, prepared.prompter, prepared.shown
    kinds = np.array(inputs.queries.kinds)
    sids = prompter.sid_ids
    old = {tuple(sids[item].tolist()) for item in np.flatnonzero(kinds != "new")}
    assert set(kinds[shown.held_out]) == {"warm"}
    unseen = [sids[item] for item in np.flatnonzero(kinds == "new")]
    unseen = [sid for sid in unseen if tuple(sid.tolist()) not in old]  # some are shared
    assert unseen
    stream = alignment_stream(
        prompter, shown.train, prepared.spec.setting.auxiliary.mixture,
        numpy_stream(0, "auxiliary-order"), numpy_stream(0, "auxiliary-wording"),
    )  # fmt: skip
    examples = [
        *grounding_examples(prompter, GroundingPlan(), numpy_stream(0, "shuffle"), shown.items),
        *grounding_examples(
            prompter, GroundingPlan(shuffled=True), numpy_stream(0, "shuffle"), shown.items
        ),
        *islice(stream, 400),
        *(example for batch in prepared.budget.batches for example in batch),
    ]
    assert not any(contains(example.ids, sid) for example in examples for sid in unseen)
    texts = [prepared.tokenizer.decode(example.ids) for example in examples]
    words = {*ODD, *THINGS, *HUES}
    assert not any(words & set(text.replace(",", " ").split()) for text in texts)


def test_other_rules_show_methods_all_texts_and_histories(write_setting, spec_of, tmp_path):
    spec = spec_of(write_setting(tmp_path), "mean")
    setting = with_share(spec.setting, 0.0)
    shown = shown_to_methods(setting, spec.inputs)
    assert shown.items is None
    assert shown.train is spec.inputs.split.train
    assert shown.texts == spec.inputs.dataset.texts  # title and description are all there is
    assert not len(shown.held_out)


def with_share(setting, share):
    grounding = setting.grounding.model_copy(update={"held_out_share": share})
    return setting.model_copy(update={"grounding": grounding})


def changed(setting, **rule):
    content = setting.model_dump(mode="json")
    content["queries"]["warm_cold_new"] |= rule
    content["queries"]["sha256"] = "unpinned"
    return Setting.model_validate(content)


def test_queries_are_those_of_the_setting_whatever_the_seed(finished, spec_of):
    path, _, _ = finished
    hashes = {spec_of(path, "mean", seed).inputs.queries.sha256 for seed in (0, 1, 2)}
    assert len(hashes) == 1


def test_a_sample_of_items_is_the_whole_catalogue_and_other_semantic_ids():
    setting = find_setting("ml-100k-language-nano").setting
    sample = changed(setting, items=500)
    assert sample.hash != setting.hash
    assert sids_file_name(setting, 0) == "ml-100k-residual_kmeans-3x64-seed0.npz"
    assert sids_file_name(sample, 0) == "ml-100k-500items-residual_kmeans-3x64-seed0.npz"


def test_the_semantic_ids_of_a_sample_are_cached_apart(movielens_folder):
    from benchmarks.inputs.inputs import load_checked_dataset

    setting = find_setting("ml-100k-language-nano").setting
    sample = changed(setting, items=500)
    dataset = load_checked_dataset(sample, offline=True)
    assert dataset.num_items == 500
    assert dataset.full_sha256 == setting.dataset.sha256
    assert recipe(sample, dataset, 0) != recipe(setting, dataset, 0)


def test_the_shipped_settings_queries_are_pinned_and_of_all_kinds(movielens_folder):
    setting = find_setting("ml-100k-language-nano").setting
    queries = load_data(setting, offline=True).queries
    assert queries.sha256 == setting.queries.sha256 != "unpinned"
    for part in ("validation", "test"):
        assert {f"queries:{query.key.partition('/')[0]}" for query in queries.of(part)} == KINDS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("shares = [0.5, 0.25, 0.25]", "shares = [0.5, 0.5, 0.25]", "must sum to 1"),
        ("shares = [0.5, 0.25, 0.25]", "shares = [0.0, 0.75, 0.25]", "some items warm"),
        ('ways = ["title", "detail"]', "ways = []", "ways must be different"),
        ('ways = ["title", "detail"]', 'ways = ["title", "title"]', "ways must be different"),
        ('rule = "warm_cold_new"', 'rule = "item_texts"\nper_item = 3', "table .* go together"),
        ('rule = "warm_cold_new"', 'rule = "item_texts"', "per_item go together"),
        ("words = 3", "words = 3\nper_item = 3", "per_item go together"),
        ("held_out_per_item = 1", "held_out_per_item = 1\nitems = 30", "of all items"),
    ],
)
def test_a_setting_without_meaning_is_refused(write_setting, tmp_path, old, new, message):
    text = write_language(write_setting, tmp_path).read_text()
    assert old in text
    with pytest.raises(SettingError, match=message):
        parse_setting(text.replace(old, new), "a test")
