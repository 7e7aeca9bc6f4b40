"""The GTI paper's setting, end to end on a stand-in of its data and models of their shapes."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.catalogue import SETTINGS
from leaderboard.ranks import read_ranks
from leaderboard.record import ranks_path, read_record

KINDS = ("dress", "coat", "skirt", "shirt", "suit")


def write_kaggle_files(folder: Path) -> None:
    """Sixty garments and forty customers, in the columns of the Kaggle files."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    outfits = ["id;name;description;group;owner;timeCreated;outfit_tags;tag_categories"]
    for item in range(60):
        kind = KINDS[item % 5]
        outfits.append(
            f"o.{item};{kind} {item};A {kind} of wool.;g.{item // 2};o_1;2018-01-01;"
            f"['{kind}'];['Category']"
        )
    (folder / "outfits.csv").write_text("\n".join(outfits) + "\n", encoding="utf-8")
    rentals = ["customer.id;outfit.id;rentalPeriod.start;rentalPeriod.end"]
    for customer in range(40):
        for month, item in enumerate(rng.choice(60, 7, replace=False), start=1):
            rentals.append(f"{customer:05d};o.{item};2021-{month:02d}-01;2021-{month:02d}-08")
    text = "\n".join(rentals) + "\n"
    (folder / "user_activity_triplets.csv").write_text(text, encoding="utf-8")


def shrunk(text: str, name: str, backbone: Path, encoder: Path) -> str:
    """The shipped file with tiny models in it, a tiny quantiser and few steps."""
    changes = {
        "name": f'"{name}"',
        "encoder": f'"{encoder}"',
        "encoder_max_tokens": "8",
        "levels": "2",
        "codes": "8",
        "hidden": "[16]",
        "code_dim": "8",
        "epochs": "30",
        "k_core": "2",
        "dtype": '"float32"',
        "max_text_tokens": "16",
        "beam": "20",
        "cutoffs": "[1, 5, 10, 20]",
        "validation_users": "10",
        "curve_points": "1",
        "grounding_passes": "0.5",
        "grounding_steps": "4",
        "free_steps": "3",
        "diversity_groups": "2",
        "seeds": "[0]",
    }
    for key, value in changes.items():
        # The first line of the key: `name` of the setting, not of dataset or backbone.
        text = re.sub(
            rf"^{key} = .*$", lambda _, v=value, k=key: f"{k} = {v}", text, count=1, flags=re.M
        )
    text = text.replace("steps = 1600", "steps = 6").replace("batch_size = 512", "batch_size = 8")
    text = text.replace("batch_size = 128", "batch_size = 8")
    return re.sub(r'name = "hub:Qwen/Qwen3-0.6B.*"', f'name = "{backbone}"', text)


@pytest.mark.parametrize(
    ("shipped", "method"),
    [
        pytest.param("vibrent-qwen3-0.6b", "gti", marks=pytest.mark.slow),
        ("vibrent-qwen3-0.6b-two-phase-full", "gti_two_phase"),
    ],
)
def test_the_papers_setting_plans_and_runs_on_a_stand_in(
    shipped, method, tiny_qwen3, tiny_encoder, gti_bench, tmp_path, monkeypatch
):
    data = tmp_path / "data"
    write_kaggle_files(data / "vibrent")
    monkeypatch.setenv("GTI_BENCH_DATA", str(data))
    text = (SETTINGS / f"{shipped}.toml").read_text(encoding="utf-8")
    setting = tmp_path / "tiny-paper.toml"
    setting.write_text(shrunk(text, "tiny-paper", tiny_qwen3, tiny_encoder), encoding="utf-8")

    plan = gti_bench("plan", setting, "--methods", method, "--offline")
    assert plan.returncode == 0, plan.stderr
    run = gti_bench(
        "run", setting, "--methods", method, "--workers", "1", "--offline",
        "--results", tmp_path / "results",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr

    path = tmp_path / "results" / "tiny-paper" / method / "seed-0.json"
    record = read_record(path)
    assert record.cost["sft"].steps == 6
    stages = [stage for stage in record.cost if stage.startswith("grounding")]
    assert stages == (
        ["grounding", "grounding_free"] if method == "gti_two_phase" else ["grounding"]
    )
    if method == "gti_two_phase":
        # The setting's own four frozen and three free steps, to within the pairs' mean length.
        assert abs(record.cost["grounding"].steps - 4) <= 1
        assert abs(record.cost["grounding_free"].steps - 3) <= 1
    # Three wordings per user and part.
    ranks = read_ranks(ranks_path(path))
    asked = Counter(zip(ranks.split.tolist(), ranks.user.tolist(), strict=True))
    assert set(asked.values()) == {3}
    assert set(ranks.wording.tolist()) == {0, 1, 2}
    # The matrix had seven rows of padding: the first new tokens stand there, nine more behind.
    manifest = record.manifest
    assert manifest.num_rows == 16
    assert manifest.first_token_id == manifest.rows_before - 7
    assert manifest.rows_after == manifest.rows_before + 9
    checked = gti_bench("verify", tmp_path / "results")
    assert checked.returncode == 0, checked.stdout
