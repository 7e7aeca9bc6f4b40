"""Whole runs through the real command line: boards, resumption, failures."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from leaderboard.records.ranks import LOSSES, read_ranks
from leaderboard.records.record import PROTOCOL_VERSION, ranks_path, read_record
from leaderboard.verify.verify import verify

CORE = ("mean", "random", "gti", "lc_rec")


@pytest.fixture(scope="session")
def finished(tmp_path_factory, write_setting, gti_bench):
    """The core methods at seed 0, two at a time: (setting file, results, what was printed)."""
    folder = tmp_path_factory.mktemp("run")
    setting = write_setting(folder)
    results = folder / "results"
    done = gti_bench("run", setting, "--seeds", "0", "--workers", "2", "--results", results)
    assert done.returncode == 0, done.stdout + done.stderr
    return setting, results, done


def cell(results: Path, method: str, seed: int = 0) -> Path:
    return results / "tiny" / method / f"seed-{seed}.json"


def test_the_board_shows_four_methods_and_two_floors(finished):
    _, results, done = finished
    for name in (*CORE, "popularity", "markov"):
        assert cell(results, name).is_file()
        assert name in done.stdout
    assert "95 % interval" in done.stdout
    assert "no evidence about GTI" in done.stdout


def test_its_records_pass_verification(finished, gti_bench):
    _, results, _ = finished
    checked = gti_bench("verify", results)
    assert checked.returncode == 0, checked.stdout
    assert "6 records checked, 0 errors" in checked.stdout


def test_a_second_run_runs_nothing_and_prints_the_board(finished, gti_bench):
    setting, results, _ = finished
    before = {path: path.stat().st_mtime_ns for path in results.rglob("seed-*")}
    again = gti_bench("run", setting, "--seeds", "0", "--results", results)
    assert again.returncode == 0
    assert "cells to run" not in again.stdout
    assert "ndcg@10" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in results.rglob("seed-*")} == before


def test_records_tell_what_each_method_did(finished):
    _, results, _ = finished
    records = {name: read_record(cell(results, name)) for name in CORE}
    for record in records.values():
        assert record.manifest.text_rows_sha256_before == record.manifest.text_rows_sha256_after
        assert record.learning_curve[0].step == 0
        assert {"init", "sft"} <= set(record.diagnostics)
        assert record.inputs.backbone == records["mean"].inputs.backbone
    assert records["mean"].manifest.identical_rows
    assert not records["random"].manifest.identical_rows
    grounding = records["gti"].proofs[0]
    assert grounding.stage == "grounding"
    assert (grounding.text_rows_changed, grounding.backbone_changed) == (0, False)
    assert grounding.new_rows_with_gradient > 0
    assert records["gti"].diagnostics["grounding"].effective_rank > 1.5
    assert {"title_to_sid", "sid_to_both", "retrieval"} <= set(records["gti"].tasks)
    families = Counter()
    for task, count in records["lc_rec"].tasks.items():
        families[task.partition(".")[0]] += count
    assert families.pop("retrieval") == records["mean"].tasks["retrieval"]
    assert set(families) == set(records["lc_rec"].setting.auxiliary.mixture)
    assert max(families.values()) - min(families.values()) <= 2  # equal weights
    assert any("by rule, not user-written" in text for text in records["lc_rec"].warnings)


def test_every_cell_measures_nll_and_retention_and_a_grounded_one_its_treatment(finished):
    _, results, _ = finished
    for name in (*CORE, "popularity", "markov"):
        record, ranks = (
            read_record(cell(results, name)),
            read_ranks(ranks_path(cell(results, name))),
        )
        assert (record.treatment is not None) == (name == "gti")
        assert (record.retention is not None) == ranks.has_nll == (name in CORE)
        assert ranks.transitions.any()
        for loss in LOSSES:
            of_part = {part: record.metrics[part][loss] for part in ("test", "validation")}
            if name not in CORE:
                assert set(of_part.values()) == {None}
                continue
            rows = ranks.of_split("validation")
            assert of_part["validation"] == pytest.approx(getattr(rows, loss).mean(), rel=1e-12)
            assert record.learning_curve[-1].metrics[loss] == of_part["validation"]
    seen, held_out = read_record(cell(results, "gti")).treatment.pairs[::2]
    assert (seen.share, seen.pairs, held_out.share, held_out.pairs) == ("seen", 54, "held_out", 6)


def test_every_method_gets_the_same_retrieval_stream_and_one_extra_budget(finished):
    _, results, _ = finished
    records = {name: read_record(cell(results, name)) for name in CORE}
    first = records["mean"]
    for name, record in records.items():
        assert record.tasks["retrieval"] == first.tasks["retrieval"]
        assert record.cost["sft"].steps == first.cost["sft"].steps
        assert record.budget.sft_flops == first.budget.sft_flops
        assert record.budget.extra_flops == pytest.approx(0.5 * record.budget.sft_flops)
        expected = record.budget.extra_flops if name in ("gti", "lc_rec") else 0.0
        # To within one example, which weighs much in so small a run.
        assert record.budget.extra_spent_flops == pytest.approx(expected, rel=0.05)


def test_a_provisional_board_stands_after_each_seed_but_the_last(finished, gti_bench, tmp_path):
    setting, _, _ = finished
    done = gti_bench("run", setting, "--methods", "mean", "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test ndcg@10") == 2
    assert done.stdout.count("provisional") >= 1
    assert "provisional" not in done.stdout.rpartition("test ndcg@10")[2]


def test_a_cell_is_the_same_whatever_runs_beside_it(finished, gti_bench, lasting, tmp_path):
    setting, results, _ = finished
    again = gti_bench(
        "run", setting, "--seeds", "0", "--workers", "1", "--methods", "gti",
        "--results", tmp_path / "again",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    first, second = cell(results, "gti"), cell(tmp_path / "again", "gti")
    assert lasting(first) == lasting(second)
    assert ranks_path(first).read_bytes() == ranks_path(second).read_bytes()


def test_a_failed_cell_does_not_stop_the_others(write_setting, gti_bench, tmp_path):
    setting = write_setting(tmp_path)  # published Semantic IDs have no codebook vectors
    results = tmp_path / "results"
    arguments = ("--seeds", "0", "--methods", "codebook,mean", "--results", results)
    done = gti_bench("run", setting, *arguments)
    assert done.returncode == 1
    assert "these Semantic IDs have none" in done.stdout
    assert cell(results, "mean").exists()
    assert not cell(results, "codebook").exists()


def test_a_record_of_another_hash_is_refused_unless_replaced(
    finished, write_setting, gti_bench, tmp_path
):
    _, results, _ = finished
    other = write_setting(tmp_path, warmup_share="0.2")
    refused = gti_bench("run", other, "--seeds", "0", "--methods", "mean", "--results", results)
    assert refused.returncode == 2
    assert "--replace" in refused.stderr
    assert str(cell(results, "mean")) in refused.stderr


def test_results_that_cannot_be_written_are_an_error_before_any_work(finished, gti_bench, tmp_path):
    setting, _, _ = finished
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    done = gti_bench("run", setting, "--results", blocked / "results")
    assert done.returncode == 2
    assert "cannot write to the results directory" in done.stderr


def test_chat_style_on_a_backbone_without_a_template_is_recorded(
    write_setting, cell_here, tmp_path
):
    path = cell_here(write_setting(tmp_path, style="chat"), "mean", tmp_path / "results")
    record = read_record(path)
    assert any("no chat template" in warning for warning in record.warnings)
    assert not any("computed apart" in warning for warning in record.warnings)
    assert [found for found in verify(path) if found.field != "code.dirty"] == []


def test_a_dataset_of_another_content_is_refused_with_both_hashes(
    write_setting, gti_bench, tmp_path
):
    setting = write_setting(tmp_path)
    items = tmp_path / "data" / "tiny" / "Tiny.item.json"
    items.write_text(items.read_text().replace("western", "easterns"))
    done = gti_bench("run", setting, "--results", tmp_path / "results")
    assert done.returncode == 2
    assert done.stderr.count("hash") >= 1
    assert "another version of the data" in done.stderr


def test_ranks_hold_one_row_per_user_and_part(finished):
    _, results, _ = finished
    ranks = read_ranks(ranks_path(cell(results, "gti")))
    assert np.unique(ranks.split, return_counts=True)[1].tolist() == [40, 40]
    assert read_record(cell(results, "gti")).protocol == PROTOCOL_VERSION


def test_diagnose_draws_figures_and_lists_nearest_words(finished, gti_bench, tmp_path):
    setting, results, _ = finished
    done = gti_bench("diagnose", setting, "--results", results, "--out", tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    assert "Nearest words" in done.stdout
    names = {path.suffix for path in (tmp_path / "figures").iterdir()}
    assert names == {".svg", ".png", ".pdf"}


def test_plan_shows_states_and_costs(finished, gti_bench):
    setting, results, _ = finished
    done = gti_bench("plan", setting, "--results", results)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done") >= 4
    assert done.stdout.count("to run") >= 4
    assert "memory" in done.stdout


def test_table_explains_a_figure_by_its_records(finished, gti_bench):
    _, results, _ = finished
    done = gti_bench("table", "tiny", "--results", results, "--explain", "gti/seed-0")
    assert done.returncode == 0, done.stderr
    record = read_record(cell(results, "gti"))
    assert record.digest in done.stdout
    assert record.files.ranks in done.stdout


def test_lora_trains_adapters_and_matrix_and_is_part_of_the_setting(
    write_setting, cell_here, tmp_path
):
    lora = 'lora = { rank = 2, alpha = 4.0, dropout = 0.1, targets = ["q_proj", "v_proj"] }'
    setting = write_setting(tmp_path, dtype=f'"float32"\n{lora}')
    path = cell_here(setting, "gti", tmp_path / "results")
    record = read_record(path)
    assert record.setting.backbone.lora.rank == 2
    trained = {proof.stage: proof.trainable_parameters for proof in record.proofs}
    assert trained["grounding"] == 16 * 192
    assert trained["sft"] < 3_147_456  # matrix and adapters, not the whole model
    assert [found for found in verify(path) if found.field != "code.dirty"] == []
