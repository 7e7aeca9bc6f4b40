"""What a setting reads: its dataset by options and hash, and the stated sample of its users."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import DATA_VARIABLE, load_dataset
from benchmarks.inputs import encoders
from benchmarks.inputs.inputs import (
    load_checked_dataset,
)
from benchmarks.inputs.semantic_ids import InputError, compute_semantic_ids, encoder_texts
from leaderboard.records.setting import Setting, parse_setting

OPTIONS = 'options = { unit = "group", orders = "activity", duplicates = "drop", k_core = 1 }'


@pytest.fixture
def tiny(tmp_path: Path, write_setting) -> str:
    return write_setting(tmp_path).read_text(encoding="utf-8")


def changed(text: str, **values: str) -> Setting:
    """The setting with other values in its [dataset] table."""
    for key, value in values.items():
        lines = [f"{key} = {value}" if line.startswith(f"{key} =") else line
                 for line in text.splitlines()]  # fmt: skip
        text = "\n".join(lines)
        if f"\n{key} = " not in text:
            text = text.replace("[dataset]\n", f"[dataset]\n{key} = {value}\n")
    return parse_setting(text, "tiny.toml").setting


def test_a_sample_is_drawn_from_the_dataset_that_the_setting_names(tiny: str) -> None:
    whole = load_checked_dataset(parse_setting(tiny, "tiny.toml").setting)
    sampled_setting = changed(tiny, sample_users="12")
    sample = load_checked_dataset(sampled_setting)
    assert len(whole.user_ids) == 40
    assert len(sample.user_ids) == 12
    assert set(sample.user_ids) < set(whole.user_ids)
    assert sample.item_ids == whole.item_ids
    assert sample.full_sha256 == sampled_setting.dataset.sha256 == whole.sha256
    assert sampled_setting.hash != parse_setting(tiny, "tiny.toml").setting.hash


def test_another_version_is_refused_with_both_hashes_and_the_sizes(tiny: str) -> None:
    setting = changed(tiny, sha256=f'"{"0" * 64}"')
    with pytest.raises(InputError, match=r"has content hash [0-9a-f]{64}") as caught:
        load_checked_dataset(setting)
    assert "the setting names 000000" in str(caught.value)
    assert "40 users, 60 items" in str(caught.value)
    assert "title 100.0%" in str(caught.value)


def test_another_version_of_a_known_dataset_is_set_beside_the_known_sizes(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "Toys.inter.json").write_text(json.dumps({"0": [0, 1, 2]}))
    (folder / "Toys.item.json").write_text(json.dumps({str(n): {"title": "x"} for n in range(3)}))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match=r"1 users \(expected 19,412\)"):
        load_checked_dataset(changed(tiny, name='"toys"'))


def test_options_of_the_setting_reach_the_loader(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "vibrent"
    folder.mkdir()
    rentals = "".join(f"u;o{n};2021-01-0{n + 1};2021-02-01\n" for n in range(4))
    (folder / "user_activity_triplets.csv").write_text(
        "customer.id;outfit.id;rentalPeriod.start;rentalPeriod.end\n" + rentals
    )
    outfits = "".join(f"o{n};Dress;;g{n // 2};['Red']\n" for n in range(5))
    (folder / "outfits.csv").write_text("id;name;description;group;outfit_tags\n" + outfits)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    text = tiny.replace("[dataset]\n", f"[dataset]\n{OPTIONS}\n")
    setting = changed(text, name='"vibrent"')
    assert setting.dataset.options is not None
    found = load_dataset("vibrent", options=setting.dataset.options)
    assert found.item_ids == ("g0", "g1")
    dataset = load_checked_dataset(changed(text, name='"vibrent"', sha256=f'"{found.sha256}"'))
    assert dataset.provenance.options == setting.dataset.options


def test_published_codes_get_codebooks_where_the_setting_names_an_encoder(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = parse_setting(tiny, "tiny.toml").setting
    dataset = load_checked_dataset(setting)
    without, _ = compute_semantic_ids(setting, dataset, 0)
    assert setting.semantic_ids.encoder == "none"
    assert without.codebooks is None
    assert without.sha256 == setting.semantic_ids.sha256
    read: list[str] = []
    made = np.random.default_rng(0).normal(size=(dataset.num_items, 5)).astype(np.float32)

    def embed(texts: list[str], encoder: str, **_: object) -> np.ndarray:
        read.extend([encoder, *texts])
        return made

    monkeypatch.setattr(encoders, "embed_texts", embed)
    named = changed(tiny, encoder='"made-up"')
    found, report = compute_semantic_ids(named, dataset, 0)
    assert report is None
    assert read == ["made-up", *encoder_texts(named, dataset)]
    assert found.codes.tolist() == without.codes.tolist()
    assert found.codebooks is not None
    first = without.codes[:, 0] == without.codes[0, 0]
    np.testing.assert_allclose(
        found.codebooks[0, without.codes[0, 0]], made[first].mean(axis=0), rtol=1e-3, atol=1e-3
    )
    assert found.description["encoder"] == "made-up"
    assert found.description["file_sha256"] == without.description["file_sha256"]
