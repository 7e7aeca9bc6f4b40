"""All methods through the real command line: records, proofs, budgets, verification."""

import re
from fnmatch import fnmatch
from importlib.metadata import version

import numpy as np
import pytest
import torch

from baselines.registry import methods
from benchmarks.cell.prepare import prepare_cell
from gti.data.semantic_ids import SemanticIds
from gti.method import MethodError
from leaderboard.records.record import read_record
from leaderboard.verify.verify import DIGEST_ALONE, MEASURED, verify

SUBSET = (
    "gti_shuffled",
    "gti_sid_to_text",
    "gti_two_phase",
    "mean_two_phase",
    "mean_matched",
    "gti_lc_rec",
    "hf_default",
    "codebook",
    "mean_rows_first",
    "sid_only",
    "token_distillation",
    "noisy_mean",
)
"""One method per way through a cell; the rest differ from these in their first rows alone."""
SECTIONS = (
    "accounting",
    "learning_curve",
    "tasks",
    "manifest",
    "proofs",
    "diagnostics",
    "cost",
    "budget",
)
"""Sections of a record whose numbers are forged, one by one."""


@pytest.fixture
def setting(tmp_path, write_setting, monkeypatch):
    """`setting(passes)`: the tiny setting, on Semantic IDs with codebooks in a cache of its own."""

    def write(passes):
        rng = np.random.default_rng(0)
        codes = np.array([[i % 6, i // 6 % 8] for i in range(60)], np.int64)
        codebooks = rng.normal(size=(2, 8, 12)).astype(np.float16)
        sids = SemanticIds(codes, 8, codebooks, {"made": "for tests"})
        cache = tmp_path / "cache"
        (cache / "semantic_ids").mkdir(parents=True)
        (cache / "semantic_ids" / f"{sids.sha256}.npz").write_bytes(sids.to_bytes())
        monkeypatch.setenv("GTI_BENCH_CACHE", str(cache))
        path = write_setting(tmp_path, passes=str(passes), validation_users="2")
        head, _, rest = path.read_text().partition('quantiser = "published"')
        rest = re.sub(r'^sha256 = ".*"', f'sha256 = "{sids.sha256}"', rest, count=1, flags=re.M)
        rest = rest.replace('encoder = "none"', 'encoder = "all-MiniLM-L6-v2"', 1)
        path.write_text(f'{head}quantiser = "residual_kmeans"{rest}')
        return path

    return write


@pytest.fixture
def plan(spec_of):
    """`plan(path, method, seed=0)`: a cell of the setting at `path` that has not trained."""

    def prepare(path, method, seed=0):
        return prepare_cell(spec_of(path, method, seed))

    return prepare


def check(records):
    """What every one of the records must show, whatever its method."""
    for key, record in records.items():
        spends = methods()[key].spends
        budget = record.budget
        expected = budget.extra_flops if spends else 0.0
        # To within one example, which weighs much in so small a run.
        assert budget.extra_spent_flops == pytest.approx(expected, rel=0.03), key
        assert record.manifest.initializer == methods()[key].initializer
        if "after" not in spends:
            assert record.tasks["retrieval"] == first_of(records).tasks["retrieval"]
    stages = {key: [proof.stage for proof in record.proofs] for key, record in records.items()}
    assert stages["gti_two_phase"] == ["grounding", "grounding_free", "sft"]
    assert stages["mean_two_phase"] == ["grounding_free", "sft"]
    for key in ("gti_lc_rec", "gti_shuffled", "mean_rows_first", "sid_only", "token_distillation"):
        assert stages[key] == ["grounding", "sft"]
    for key in ("mean_matched", "codebook", "noisy_mean"):
        assert stages[key] == ["sft"]

    two, free = records["gti_two_phase"], records["mean_two_phase"]
    assert two.cost["grounding"].nominal_flops == pytest.approx(
        two.cost["grounding_free"].nominal_flops, rel=0.05
    )
    assert not two.proofs[0].backbone_changed
    assert two.proofs[1].backbone_changed
    assert free.proofs[0].backbone_changed
    assert free.proofs[0].text_rows_changed > 0

    matched = records["mean_matched"]
    assert matched.cost["sft"].nominal_flops == pytest.approx(1.5 * two.budget.sft_flops, rel=0.02)
    assert matched.learning_curve[-1].passes == pytest.approx(3.0, rel=0.1)
    assert matched.tasks.keys() == {"retrieval"}

    both = records["gti_lc_rec"]
    half = both.budget.extra_flops / 2
    assert both.cost["grounding"].nominal_flops == pytest.approx(half, rel=0.05)
    shuffled = records["gti_shuffled"].tasks.keys()  # grounding's tasks and retrieval
    assert both.tasks.keys() > shuffled >= {"title_to_sid", "sid_to_both", "retrieval"}
    assert not {"title_to_sid", "both_to_sid"} & records["gti_sid_to_text"].tasks.keys()
    assert records["codebook"].diagnostics["init"].rsa_pearson == pytest.approx(1, abs=1e-6)
    named = records["hf_default"].manifest.initializer
    assert named == f"hf_default v1 (transformers {version('transformers')})"


def first_of(records):
    return records["gti_shuffled"]


def test_every_way_through_a_cell_ends_in_records_that_verify(tmp_path, setting, cell_here, forge):
    path = setting(2.0)
    records = {key: read_record(cell_here(path, key, tmp_path / "results")) for key in SUBSET}
    check(records)
    assert [each for each in verify(tmp_path / "results") if each.field != "code.dirty"] == []
    for key in ("gti_two_phase", "mean_matched", "mean_rows_first"):
        record = tmp_path / "results" / "tiny" / key / "seed-0.json"
        listed = (*MEASURED, *DIGEST_ALONE)
        missed = [f for f in forge(record, SECTIONS) if not any(fnmatch(f, p) for p in listed)]
        assert missed == [], key


def test_mean_matched_spends_the_extra_budget_within_a_hundredth(setting, plan):
    path = setting(8.0)  # so that one example is less than a hundredth of A
    planned, plain = plan(path, "mean_matched"), plan(path, "mean")
    longer, own = planned.budget, plain.budget
    assert longer.sft_flops == own.sft_flops
    assert longer.extra.flops == pytest.approx(0.5 * own.sft_flops)
    assert planned.ledger.extra_spent == pytest.approx(longer.extra.flops, rel=0.01)
    lengths = [len(example.ids) for batch in longer.batches for example in batch]
    assert planned.shape.flops(lengths) == pytest.approx(1.5 * own.sft_flops, rel=0.01 / 3)
    # The same stream, further on: R as every method has it comes first.
    for first, second in zip(own.batches, longer.batches, strict=False):
        assert all(np.array_equal(a.ids, b.ids) for a, b in zip(first, second, strict=True))
    assert longer.passes == pytest.approx(12.0, rel=0.02)


def test_the_rows_of_hf_default_follow_the_seed_of_the_cell(setting, plan):
    path = setting(2.0)
    rows = [plan(path, "hf_default", seed).vocabulary.default_rows[0] for seed in (0, 0, 1)]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_codebook_on_published_indices_says_why_it_cannot_run(tmp_path, write_setting, cell_here):
    with pytest.raises(MethodError, match="these Semantic IDs have none"):
        cell_here(write_setting(tmp_path), "codebook", tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_all_methods_run_and_verify_through_the_command_line(tmp_path, setting, gti_bench):
    path, results = setting(2.0), tmp_path / "results"
    done = gti_bench("run", path, "--methods", "all", "--seeds", "0", "--results", results)
    assert done.returncode == 0, done.stdout + done.stderr
    checked = gti_bench("verify", results)
    assert checked.returncode == 0, checked.stdout
    assert f"{len(methods()) + 2} records checked, 0 errors" in checked.stdout
    told = [line for line in checked.stdout.splitlines() if line.startswith("warning")]
    assert all(", code.dirty: " in line for line in told)  # of a checkout with changes
    records = [read_record(path) for path in results.rglob("seed-0.json")]
    cells = {record.method.key: record for record in records if record.kind == "cell"}
    assert set(cells) == set(methods())
    check(cells)
