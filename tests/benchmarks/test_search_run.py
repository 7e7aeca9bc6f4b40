"""The retrieval track through the real command line: run, table, verify, and what is refused."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_data
from benchmarks.inputs.semantic_ids import InputError
from benchmarks.perf.honest_records.edits import edit
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.records.setting import SettingError, parse_setting

QUERIES = """
[queries]
rule = "item_texts"
sha256 = "{sha256}"
per_item = 4
words = 3
category_fields = ["description"]
gains = [1.0, 3.0]
"""
METHODS = ("mean", "gti", "lc_rec")


def write_search(write_setting, folder, sha256="unpinned"):
    path = write_setting(folder, name="search", style="chat", wordings="2", validation_users="20")
    path.write_text(path.read_text() + QUERIES.format(sha256=sha256))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_setting, gti_bench):
    folder = tmp_path_factory.mktemp("search")
    setting = write_search(write_setting, folder)
    results = folder / "results"
    done = gti_bench(
        "run", setting, "--methods", ",".join(METHODS), "--seeds", "0", "--workers", "2",
        "--results", results,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return setting, results, done


def cell(results, method):
    return results / "search" / method / "seed-0.json"


def test_the_board_shows_methods_and_the_tracks_own_references(finished):
    _, results, done = finished
    for name in (*METHODS, "popularity", "bm25"):
        assert cell(results, name).is_file()
        assert name in done.stdout
    assert not cell(results, "markov").exists()
    assert "precision_good@10" in done.stdout
    queries = read_record(cell(results, "mean")).num_users["test"]
    assert f"{queries} queries" in done.stdout
    assert "users" not in done.stdout.partition("test ndcg@10")[2]


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
def test_all_forms_of_the_table_can_be_made(finished, gti_bench, form):
    _, results, _ = finished
    done = gti_bench(
        "table", "search", "--results", results, "--format", form,
        "--metric", "precision_any@5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bm25" in done.stdout


def test_records_pass_verification_and_a_changed_digit_does_not(finished, gti_bench, tmp_path):
    _, results, _ = finished
    assert "5 records checked, 0 errors" in gti_bench("verify", results).stdout
    path = cell(results, "gti")
    copy = cell(tmp_path, "gti")
    copy.parent.mkdir(parents=True)
    for sidecar in path.parent.glob("seed-0.*"):
        (copy.parent / sidecar.name).write_bytes(sidecar.read_bytes())
    value = float(np.nextafter(read_record(path).metrics["test"]["precision_any@10"], 1))
    edit(copy, lambda content: content["metrics"]["test"].update({"precision_any@10": value}))
    done = gti_bench("verify", tmp_path)
    assert done.returncode == 1
    assert "metrics.test.precision_any@10" in done.stdout


def test_a_lost_wording_is_found(finished, gti_bench, tmp_path):
    from leaderboard.records.ranks import write_ranks

    _, results, _ = finished
    copy = cell(tmp_path, "mean")
    copy.parent.mkdir(parents=True)
    for sidecar in cell(results, "mean").parent.glob("seed-0.*"):
        (copy.parent / sidecar.name).write_bytes(sidecar.read_bytes())
    ranks = read_ranks(ranks_path(copy))
    write_ranks(ranks_path(copy), ranks.where(np.arange(len(ranks)) != len(ranks) - 1))
    assert "wordings" in gti_bench("verify", tmp_path).stdout


def test_ranks_hold_every_relevant_item_of_every_query_in_each_wording(finished):
    setting, results, _ = finished
    queries = load_data(find_setting(str(setting)).setting, offline=True).queries
    ranks = read_ranks(ranks_path(cell(results, "gti")))
    for part in ("validation", "test"):
        rows = ranks.of_split(part)
        expected = Counter(
            (query.key, wording, str(item), grade)
            for query in queries.of(part)
            for wording in (0, 1)
            for item, grade in zip(query.relevant.tolist(), query.grades.tolist(), strict=True)
        )
        columns = (rows.user, rows.wording, rows.item, rows.grade)
        assert Counter(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert set(ranks.history_length.tolist()) == {0}


def test_methods_train_on_the_same_pairs_and_spend_one_extra_budget(finished):
    setting, results, _ = finished
    queries = load_data(find_setting(str(setting)).setting, offline=True).queries
    records = {name: read_record(cell(results, name)) for name in METHODS}
    for name, record in records.items():
        assert record.inputs.queries == queries.sha256
        assert record.tasks["query"] == records["mean"].tasks["query"]
        assert "retrieval" not in record.tasks
        expected = record.budget.extra_flops if name != "mean" else 0.0
        assert record.budget.extra_spent_flops == pytest.approx(expected, rel=0.03)
        assert set(record.slices) <= {"queries:item", "queries:category"}
    assert {"title_to_sid", "sid_to_both"} <= records["gti"].tasks.keys()
    assert any("." in task for task in records["lc_rec"].tasks)


def test_bm25_reads_the_text_and_popularity_does_not(finished):
    _, results, _ = finished
    bm25, popularity = (
        read_record(cell(results, name)).metrics["test"] for name in ("bm25", "popularity")
    )
    assert bm25["recall@10"] > popularity["recall@10"]


def test_plan_and_prepare_know_the_track(finished, gti_bench):
    setting, results, _ = finished
    assert gti_bench("plan", setting, "--results", results).returncode == 0
    done = gti_bench("prepare", setting)
    assert done.returncode == 0, done.stderr
    assert "for validation" in done.stdout


def test_queries_of_another_hash_are_refused(write_setting, tmp_path):
    path = write_search(write_setting, tmp_path, sha256="0" * 64)
    with pytest.raises(InputError, match="queries made here have hash"):
        load_data(find_setting(str(path)).setting, offline=True)


def test_a_metric_of_the_other_track_is_refused_with_what_there_is(finished, gti_bench):
    _, results, _ = finished
    done = gti_bench("table", "search", "--results", results, "--metric", "precision@10")
    assert done.returncode == 2
    assert "precision_good" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('style = "chat"', 'style = "sequence"', "asked as questions"),
        ('seen_items = "keep"', 'seen_items = "remove"', "has seen no items"),
        ("gains = [1.0, 3.0]", "gains = [3.0, 1.0]", "must rise"),
        ("per_item = 4", "per_item = 2", "greater than or equal to 3"),
    ],
)
def test_a_setting_without_meaning_is_refused(write_setting, tmp_path, old, new, message):
    text = write_search(write_setting, tmp_path).read_text().replace("wordings = 2", "wordings = 1")
    assert old in text
    with pytest.raises(SettingError, match=message):
        parse_setting(text.replace(old, new), "a test")
