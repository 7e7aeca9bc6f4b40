"""A draw of Semantic IDs for each seed: which one a cell reads, what pins it, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cell.notes import draw_note
from benchmarks.inputs import encoders
from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_inputs
from benchmarks.inputs.semantic_ids import (
    InputError,
    draws_of,
    find_semantic_ids,
    recipe,
    seeds_of,
    sids_file_name,
)
from benchmarks.machine.places import SEMANTIC_IDS
from benchmarks.run.same_inputs import has_unpinned, known_hashes
from gti.data.semantic_ids import SemanticIds
from gti.quantise.kmeans import residual_kmeans
from leaderboard.records.setting import Setting, SettingError, parse_setting

DRAWN = ("ml-100k-nano", "ml-100k-search-nano", "ml-100k-language-nano")
MADE = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture
def drawn(tmp_path: Path, write_setting, monkeypatch: pytest.MonkeyPatch):
    """`drawn(**pins)`: the tiny setting with a draw per seed, of made-up text vectors."""
    monkeypatch.setenv("GTI_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoders, "embed_texts", lambda texts, *_, **__: MADE[: len(texts)])
    text = write_setting(tmp_path).read_text(encoding="utf-8")
    head, _, rest = text.partition("[semantic_ids]")
    _, _, rest = rest.partition("[backbone]")

    def make(**pins: str) -> Setting:
        lines = "\n".join(f'{seed.removeprefix("s")} = "{sha}"' for seed, sha in pins.items())
        table = f"""[semantic_ids]
quantiser = "residual_kmeans"
encoder = "made-up"
pca_dim = 0
levels = 2
codes = 8
seed = "cell"

[semantic_ids.draws]
{lines}

[backbone]"""
        return parse_setting(head + table + rest, "tiny.toml").setting

    return make


@pytest.mark.parametrize("name", DRAWN)
def test_the_draws_of_shipped_settings_lie_here_differ_and_have_the_hashes_of_their_pins(name):
    setting = find_setting(name).setting
    assert seeds_of(setting) == (0, 1, 2, 100, 101)
    codes = []
    for seed in seeds_of(setting):
        path = SEMANTIC_IDS / sids_file_name(setting, seed)
        draw = SemanticIds.from_file(path)
        assert draw.sha256 == setting.semantic_ids.draws[str(seed)]
        assert draw.description["quantiser_seed"] == str(seed)
        found, place = find_semantic_ids(setting, None, seed)
        assert (found.sha256, place) == (draw.sha256, "committed")
        codes.append(draw.codes.tobytes())
    assert len(set(codes)) == 5


def test_a_cell_reads_the_draw_of_its_seed(drawn):
    setting = drawn(s0="0" * 64).model_copy()
    for seed in (1, 7):
        found = load_inputs(setting, seed, offline=True).semantic_ids
        expected, _ = residual_kmeans(MADE, 2, 8, seed, {})
        np.testing.assert_array_equal(found.codes, expected.codes)
    first, second = (load_inputs(setting, seed, offline=True).semantic_ids for seed in (1, 7))
    assert (first.codes != second.codes).any()
    assert draws_of(setting, (1, 7, 1)) == {1: (1, 1), 7: (7,)}


def test_a_numbered_seed_is_one_draw_for_all(write_setting, tmp_path):
    setting = parse_setting(write_setting(tmp_path).read_text(), "tiny.toml").setting
    assert draws_of(setting, (0, 1, 2)) == {0: (0, 1, 2)}
    inputs = [load_inputs(setting, seed, offline=True) for seed in (0, 1)]
    assert inputs[0].semantic_ids.sha256 == inputs[1].semantic_ids.sha256


def test_another_draw_than_the_pinned_one_is_one_line_with_seed_both_hashes_and_the_way_out(drawn):
    made = load_inputs(drawn(s0="0" * 64), 3, offline=True).semantic_ids.sha256
    with pytest.raises(InputError) as caught:
        load_inputs(drawn(s3="f" * 64), 3, offline=True)
    said = str(caught.value)
    assert "\n" not in said
    for part in ("setting tiny", "of seed 3", made, "f" * 64, "fetch the artefact"):
        assert part in said, part


def test_pins_do_not_decide_where_an_unpinned_draw_is_kept_and_the_seed_does(drawn):
    setting, other = drawn(s0="0" * 64), drawn(s0="0" * 64, s1="1" * 64)
    dataset = load_inputs(setting, 5, offline=True).dataset
    assert recipe(setting, dataset, 5) == recipe(other, dataset, 5)
    assert recipe(setting, dataset, 5) != recipe(setting, dataset, 6)
    assert find_semantic_ids(setting, dataset, 5)[1] == "cached"
    assert find_semantic_ids(setting, dataset, 6) is None


def test_a_seed_without_a_pin_is_told_in_the_record_and_compared_with_other_records(drawn):
    setting = drawn(s0="0" * 64)
    pinned = parse_setting(
        (SEMANTIC_IDS.parent / "settings" / "ml-100k-nano.toml").read_text(), "ml-100k-nano.toml"
    ).setting
    assert "pins no draw of seed 4" in draw_note(setting, 4)
    assert draw_note(setting, 0) is None
    assert draw_note(pinned, 2) is None
    assert has_unpinned(setting, [0, 4])
    assert not has_unpinned(setting, [0])
    data = load_inputs(setting, 4, offline=True)
    here = known_hashes(setting, data)
    assert here(4)["semantic_ids"] == data.semantic_ids.sha256
    assert "semantic_ids" not in here(5)  # not made yet


def test_published_indices_have_no_draws(write_setting, tmp_path):
    text = (
        write_setting(tmp_path)
        .read_text()
        .replace("codes = 8\nseed = 0", 'codes = 8\nseed = "cell"')
    )
    with pytest.raises(SettingError, match="published indices are one draw"):
        parse_setting(text, "tiny.toml")
