"""The GTI paper's setting, end to end on a stand-in of its data and models of their shapes."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli.app import exit_code
from benchmarks.machine.places import SETTINGS
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.verify.verify import verify

VIBRENT = sorted(path.stem for path in SETTINGS.glob("vibrent-*.toml"))
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


@pytest.fixture
def stand_in(tmp_path, monkeypatch, tiny_qwen3, tiny_encoder):
    """`stand_in(shipped)`: the path of the shrunk setting; its data lie in GTI_BENCH_DATA."""
    write_kaggle_files(tmp_path / "data" / "vibrent")
    monkeypatch.setenv("GTI_BENCH_DATA", str(tmp_path / "data"))

    def write(shipped: str) -> Path:
        text = (SETTINGS / f"{shipped}.toml").read_text(encoding="utf-8")
        setting = tmp_path / "tiny-paper.toml"
        setting.write_text(shrunk(text, "tiny-paper", tiny_qwen3, tiny_encoder), encoding="utf-8")
        return setting

    return write


@pytest.fixture
def nothing_heavy(monkeypatch):
    """Any try to encode, quantise, load weights or reach a network fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("plan must not do this")

    for place in (
        "benchmarks.inputs.encoders.embed_texts",
        "benchmarks.inputs.tokenizer_report.train_rq_vae",
        "gti.quantise.rq_vae.rq_vae",
        "gti.quantise.kmeans.residual_kmeans",
        "benchmarks.inputs.backbones.load_backbone",
        "benchmarks.inputs.backbones.prepare_backbone",
        "transformers.PreTrainedModel.from_pretrained",
        "socket.socket.connect",
        "socket.getaddrinfo",
    ):
        monkeypatch.setattr(place, refuse)


def plan(capsys, setting: object, results: Path, *more: str) -> list[str]:
    """The lines of `gti-bench plan`, in this process."""
    code = exit_code(["plan", str(setting), "--results", str(results), "--device", "cpu", *more])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out.splitlines()


def line(lines: list[str], start: str) -> str:
    (found,) = [text for text in lines if text.startswith(start)]
    return found


DURATION = r"about [\d.]+ (s|min|h)"


def test_plan_of_a_stand_in_prints_its_cost_and_makes_nothing(
    stand_in, own_cache, nothing_heavy, capsys, tmp_path
):
    lines = plan(capsys, stand_in("vibrent-qwen3-0.6b"), tmp_path / "results", "--seeds", "0")
    assert [text.split() for text in lines[1:5]] == [
        [method, "seed", "0", "to", "run"] for method in ("mean", "random", "gti", "lc_rec")
    ]
    note = line(lines, "note")
    assert "40 users (expected about 2,200), 60 items (expected about" in note
    sids = line(lines, "SIDs")
    made = rf"Semantic IDs of seed 0: to be made, .*encoding {DURATION}, RQ-VAE {DURATION}$"
    assert re.search(made, sids)
    assert "its config.json" in line(lines, "backbone")
    assert re.match(rf"a cell    {DURATION} \(FLOPs over this machine's", line(lines, "a cell"))
    assert re.match(r"memory    about [\d.]+ GiB", line(lines, "memory"))
    assert not any(own_cache.rglob("*.np*"))


@pytest.mark.parametrize("shipped", VIBRENT)
def test_every_profile_plans_with_no_file_at_hand(
    shipped, own_cache, nothing_heavy, capsys, tmp_path, monkeypatch
):
    monkeypatch.delenv("GTI_BENCH_DATA", raising=False)
    # Without --offline: the sizes of the models it names are known without asking a hub.
    lines = plan(capsys, shipped, tmp_path / "results", "--methods", "all")
    data = line(lines, "data")
    assert "an estimate from the dataset's card" in data
    assert "about 2,200 users" in data
    assert "kaggle.com" in data
    made = rf"Semantic IDs of seed \d: to be made, .*encoding {DURATION}, RQ-VAE {DURATION}$"
    sids = [text for text in lines if text.startswith("SIDs")]
    assert len(sids) == 5
    assert all(re.search(made, text) for text in sids)
    backbone = line(lines, "backbone")
    assert "596,049,920 parameters" in backbone  # as its page on the hub counts them
    assert ("LoRA" in backbone) == ("full" not in shipped)
    for start in ("a cell", "all ", "memory", "disk"):
        assert re.search(r"about [\d.]+ ", line(lines, start))
    assert not own_cache.exists() or not any(own_cache.iterdir())


def test_lora_takes_less_memory_than_full_fine_tuning(
    own_cache, nothing_heavy, capsys, tmp_path, monkeypatch
):
    monkeypatch.delenv("GTI_BENCH_DATA", raising=False)
    gib = [
        float(line(plan(capsys, name, tmp_path, "--workers", "1"), "memory").split()[2])
        for name in ("vibrent-qwen3-0.6b", "vibrent-qwen3-0.6b-full")
    ]
    # Gradients and two moments, 12 bytes each, of all weights but adapters and matrix.
    assert gib[1] - gib[0] == pytest.approx(12 * (440_467_456 - 2 * 5_046_272) / 2**30, rel=0.1)


@pytest.mark.parametrize("shipped", VIBRENT)
def test_every_value_says_whether_it_is_the_papers_or_ours_and_why(shipped):
    text = (SETTINGS / f"{shipped}.toml").read_text(encoding="utf-8")
    values = [each for each in text.splitlines() if re.match(r"\w+ = ", each)]
    assert len(values) > 60
    for each in values:
        if not each.startswith(('name = "vibrent-', "summary = ")):
            _, mark, comment = each.rpartition("  # ")
            assert mark, each
            assert comment.startswith("paper") or re.search(r"ours: \w", comment), each


@pytest.mark.parametrize(
    ("shipped", "method"),
    [
        ("vibrent-qwen3-0.6b", "gti"),
        ("vibrent-qwen3-0.6b-two-phase-full", "gti_two_phase"),
    ],
)
def test_the_papers_setting_runs_on_a_stand_in(shipped, method, stand_in, gti_bench, tmp_path):
    run = gti_bench(
        "run", stand_in(shipped), "--methods", method, "--workers", "1", "--offline",
        "--results", tmp_path / "results",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "dataset vibrent is not pinned, and its files are of other sizes" in run.stdout

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
    assert (record.setting.backbone.lora is not None) == (method == "gti")
    assert [found for found in verify(tmp_path / "results") if found.level == "error"] == []
