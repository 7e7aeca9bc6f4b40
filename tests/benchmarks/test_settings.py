"""The settings that come with gti-bench: complete, hashed, and with their Semantic IDs."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.registry import methods
from benchmarks.datasets import CARDS
from benchmarks.estimate.flops import scoring
from benchmarks.estimate.workload import Workload
from benchmarks.inputs.catalogue import find_setting, setting_names
from benchmarks.inputs.feasible import check_feasible, check_fits
from benchmarks.inputs.inputs import load_inputs
from benchmarks.inputs.semantic_ids import InputError, seeds_of, sids_file_name
from benchmarks.machine.places import SEMANTIC_IDS, SETTINGS
from gti.data.dataset import Dataset, Provenance
from gti.data.semantic_ids import SemanticIds
from gti.prompts.wordings import ALIGNMENT_TASKS
from leaderboard.records.canonical import digest_of
from leaderboard.records.setting import Setting, SettingError, parse_setting, read_setting

PINNED = [
    n for n in setting_names() if find_setting(n).setting.semantic_ids.pin_at(0) != "unpinned"
]


@pytest.mark.parametrize("name", PINNED)
def test_semantic_ids_are_committed_under_the_settings_hash(name):
    setting = find_setting(name).setting
    for seed in seeds_of(setting):
        sids = SemanticIds.from_file(SEMANTIC_IDS / sids_file_name(setting, seed))
        spec = setting.semantic_ids
        assert sids.sha256 == spec.pin_at(seed)
        assert (sids.num_levels, sids.num_codes) == (spec.levels, spec.codes)
        assert sids.codebooks is not None
        assert sids.description["dataset"] == setting.dataset.sha256
        assert sids.collision_rate < 0.001


@pytest.mark.parametrize("name", setting_names())
def test_settings_name_what_exists(name):
    file = find_setting(name)
    assert file.setting.dataset.name in CARDS
    assert set(file.methods) <= set(methods())
    assert set(file.setting.auxiliary.mixture) <= set(ALIGNMENT_TASKS)
    assert max(file.setting.evaluation.cutoffs) <= file.setting.decoding.beam


def test_no_two_settings_share_a_hash():
    hashes = [find_setting(name).setting.hash for name in setting_names()]
    assert len(set(hashes)) == len(hashes) >= 8


def test_only_the_papers_settings_are_unpinned():
    unpinned = set(setting_names()) - set(PINNED)
    assert unpinned == {name for name in setting_names() if name.startswith("vibrent-")}


@pytest.mark.parametrize("name", setting_names())
def test_each_seed_has_its_own_draw_and_boards_declare_what_they_test(name):
    setting = find_setting(name).setting
    assert setting.semantic_ids.seed == "cell"
    if "-dose" in name:  # points of a dose curve: one method each
        assert setting.primary is None
    else:
        assert setting.primary is not None
        assert 3 <= len(setting.primary.contrasts) <= 4


def test_the_papers_settings_hold_what_the_paper_states():
    settings = [find_setting(n).setting for n in setting_names() if n.startswith("vibrent-")]
    assert len(settings) == 4
    for setting in settings:
        sids, vae = setting.semantic_ids, setting.semantic_ids.rq_vae
        assert (sids.levels, sids.codes, vae.code_dim, vae.epochs) == (4, 256, 32, 20_000)
        assert (vae.hidden, vae.dropout) == ((1024, 512, 256), 0.1)
        assert (setting.sft.steps, setting.sft.batch_size) == (1600, 512)
        assert setting.evaluation.wordings == 3
    grounding = {
        (s.extra.grounding_steps, s.extra.free_steps, s.extra.grounding_passes) for s in settings
    }
    assert grounding == {(8000, 8000, None), (None, None, 10.0)}
    lora = {s.backbone.lora and (s.backbone.lora.rank, s.backbone.lora.alpha) for s in settings}
    assert lora == {None, (8, 32.0)}


def test_a_field_that_a_setting_does_not_use_leaves_its_hash_alone():
    setting = find_setting("ml-100k-nano").setting
    assert setting.queries is None
    dumped = without_nulls(setting.model_dump(mode="json"))
    del dumped["semantic_ids"]["draws"]
    assert setting.hash == digest_of(
        {key: value for key, value in dumped.items() if key not in ("summary", "seeds")}
    )


def test_exact_decoding_is_another_setting_and_the_beam_written_out_is_not():
    setting = find_setting("ml-100k-nano").setting
    dumped = setting.model_dump(mode="json")

    def with_method(method):
        return Setting.model_validate(
            {**dumped, "decoding": {"beam": setting.decoding.beam, "method": method}}
        )

    assert with_method("beam").hash == setting.hash
    assert with_method("exact").hash != setting.hash
    with pytest.raises(ValueError, match="exact"):
        with_method("greedy")


def test_how_alignment_tasks_are_pooled_and_gathered_is_part_of_the_setting():
    setting = find_setting("ml-100k-nano").setting

    def with_options(**options):
        content = setting.model_dump(mode="json")
        content["auxiliary"] |= options
        return Setting.model_validate(content)

    others = [{"pooling": "two_means"}, {"every": 4}, {"pooling": "two_means", "every": 4}]
    assert len({setting.hash, *(with_options(**options).hash for options in others)}) == 4
    for wrong in ({"pooling": "mean"}, {"every": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            with_options(**wrong)


def test_exact_decoding_is_planned_with_every_prefix_and_a_beam_with_its_width():
    setting = find_setting("ml-100k-nano").setting
    exact = setting.decoding.model_copy(update={"method": "exact"})
    work = Workload(
        train_lengths=[3, 5], num_items=4, text_tokens=5.0, prefixes=2 + 3, pairs=0, pair_text=0.0
    )
    by_beam = scoring(setting, work)
    by_item = scoring(setting.model_copy(update={"decoding": exact}), work)
    users, parts = 2, 2
    fewer = users * parts * (2 * setting.decoding.beam - (2 + 3))
    assert [one - other for one, other in zip(by_beam, by_item, strict=True)] == [fewer, fewer]


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def test_a_method_table_changes_the_methods_hash_and_not_the_settings():
    text = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
    plain = parse_setting(text, "plain")
    tuned = parse_setting(text + "\n[method.mine]\ngrounding_learning_rate = 2e-3\n", "tuned")
    assert plain.setting.hash == tuned.setting.hash
    assert plain.parameters("mine").grounding_learning_rate is None
    assert tuned.parameters("mine").grounding_learning_rate == 2e-3
    assert tuned.parameters("mean") == plain.parameters("mean")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("passes = 1.5", "passes = 0.0", "sft.passes"),
        ("passes = 1.5", "", "either passes or steps"),
        ("passes = 1.5", "passes = 1.5\nsteps = 10", "either passes or steps"),
        ("grounding_passes = 3.0", "free_steps = 3", "one of share_of_sft, grounding_passes"),
        ('quantiser = "residual_kmeans"', 'quantiser = "rq_vae"', "go together"),
        ("wordings = 1", "wordings = 2", "has one wording"),
        ("betas = [0.9, 0.99]", "betas = [1.5, 0.99]", "sft.betas.0"),
        ("cutoffs = [1, 5, 10, 20, 50, 100]", "cutoffs = [0, 10]", "evaluation.cutoffs.0"),
        ("cutoffs = [1, 5, 10, 20, 50, 100]", "cutoffs = [5, 20]", "must hold 10"),
        ("cutoffs = [1, 5, 10, 20, 50, 100]", "cutoffs = [10, 5]", "must rise"),
        ("seeds = [0, 1, 2]", "seeds = [0, 0]", "seeds must be different"),
        ("seeds = [0, 1, 2]", "seeds = []", "at least one"),
        ("seeds = [0, 1, 2]", "seeds = [-1]", "seeds.0"),
        ('quantiser = "residual_kmeans"', 'quantiser = "kmeans"', "semantic_ids.quantiser"),
        ("codes = 64", "codes = 64\ncolour = 1", "semantic_ids.colour"),
        ("codes = 64", "codes = 10_000_000_000_000", "semantic_ids.codes"),
        ("codes = 64", f"codes = {'9' * 5000}", "cannot be read"),
        ('encoder = "all-MiniLM-L6-v2"', 'encoder = "none"', "name an encoder"),
        ("curve_points = 5", "curve_points = 100_000_000", "evaluation.curve_points"),
        ("cutoffs = [1, 5, 10, 20, 50, 100]", "cutoffs = [10, 1_000_000_000]", "evaluation.cutoff"),
        ('encoder = "all-MiniLM-L6-v2"', 'encoder = "C:\\users\\me"', "single quotes"),
        ("beam = 100", "beam = ", "not valid TOML"),
        ('seen_items = "keep"', "", "dataset.seen_items"),
        ("seeds = [100, 101]", "seeds = [2, 101]", "2 is one of the board's seeds"),
        ("seeds = [100, 101]", "seeds = [100, 100]", "must be different"),
        ("seeds = [100, 101]", "seeds = []", "tuning.seeds"),
        ("seeds = [100, 101]", "seeds = [100, 101, 102]", "tuning.seeds"),
        ("[2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3]", "[5e-4, 2.5e-4, 1e-3, 2e-3, 4e-3]", "must rise"),
        ("[2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3]", "[1e-3, 2e-3]", "tuning.sft_rates.2"),
        ("[1e-3, 3e-3, 1e-2, 3e-2, 1e-1]", "[1e-3]", "tuning.grounding_rates"),
        ("held_out_share = 0.05", "held_out_share = 0.0", "told apart by held-out pairs"),
    ],
)
def test_a_setting_that_cannot_be_used_names_the_field(old, new, named):
    text = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(SettingError, match=named):
        parse_setting(text.replace(old, new), "file.toml")


NANO_LINES = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8").splitlines()
STRANGE = (
    *("0", "-1", "1e308", "nan", "inf", "10_000_000_000_000_000_000_000", "true", "1979-05-27"),
    *('""', '"x"', "[]", "[[]]", "{}", "[1, 2]", "", "]"),
    *('"\\ud83c"', '"C:\\users"', "'\\'"),
)
WITH_VALUES = [n for n, line in enumerate(NANO_LINES) if " = " in line and line[0] != "#"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(WITH_VALUES), st.sampled_from(STRANGE))
def test_whatever_stands_in_a_setting_it_is_read_or_refused_in_one_line(line, value):
    key = NANO_LINES[line].partition(" = ")[0]
    text = "\n".join([*NANO_LINES[:line], f"{key} = {value}", *NANO_LINES[line + 1 :]])
    try:
        told = parse_setting(text, "file.toml").setting.hash
    except SettingError as error:
        told = str(error)
        told.encode()
    assert len(told) == 64 or told.startswith("file.toml: ")
    assert "\n" not in told


def test_a_byte_order_mark_is_dropped(tmp_path):
    text = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
    path = tmp_path / "ml-100k-nano.toml"
    path.write_bytes(text.encode("utf-8-sig"))
    assert read_setting(path) == find_setting("ml-100k-nano")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("beam = 100", "beam = 9", "main score ndcg@10 will be null, because decoding.beam = 9"),
        ('encoder = "all-MiniLM-L6-v2"', 'encoder = "all-MiniML"', "semantic_ids.encoder: unknown"),
    ],
)
def test_a_setting_that_cannot_run_is_refused_before_any_work(old, new, named):
    text = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(InputError, match=named):
        check_feasible(parse_setting(text.replace(old, new), "file.toml").setting)
    check_feasible(parse_setting(text, "file.toml").setting)


def test_more_components_than_items_name_the_field():
    setting = find_setting("ml-100k-nano").setting
    few = Dataset("few", ("a", "b"), ({}, {}), (), (), None, Provenance("", "", {}))
    with pytest.raises(InputError, match=r"semantic_ids.pca_dim = \d+, but few has 2 items"):
        check_fits(setting, few)


@pytest.mark.parametrize("name", ["scientific-smollm2", "beauty-smollm2"])
def test_the_amazon_settings_load_where_their_data_is(name):
    if not os.environ.get("GTI_BENCH_DATA"):
        pytest.skip("GTI_BENCH_DATA is not set: the Amazon files are the user's to bring")
    inputs = load_inputs(find_setting(name).setting, 0, offline=True)
    assert inputs.semantic_ids.num_items == inputs.dataset.num_items
