"""Exports: what the record says and nothing else, in forms that the formats' own readers take."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.edits import edit
from leaderboard.exchange.every_eval_ever import log_path, model_id
from leaderboard.exchange.hub_results import results_path
from leaderboard.metrics.metrics import per_user
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import Record, find_records, ranks_path, read_record

LOGS = ["--format", "every_eval_ever", "--organization", "A laboratory"]
HUB = ["--format", "hf_eval_results", "--dataset", "a-laboratory/boards"]


@pytest.fixture(scope="module")
def logs(whole_board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of `whole_board`; read only."""
    out = tmp_path_factory.mktemp("logs") / "out"
    assert exit_code(["export", *LOGS, "--results", str(whole_board), "--out", str(out)]) == 0
    return out


def records(root: Path) -> dict[Path, Record]:
    return {path: read_record(path) for path in find_records(root)}


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def log_of(out: Path, record: Record) -> Any:
    return json.loads((out / log_path(record)).read_text(encoding="utf-8"))


def test_every_record_has_a_log_with_its_test_metrics_and_no_others(
    whole_board: Path, logs: Path
) -> None:
    found = records(whole_board)
    assert files(logs) == {log_path(record) for record in found.values()}
    for record in found.values():
        log = log_of(logs, record)
        scores = {
            each["metric_config"]["metric_name"]: each["score_details"]["score"]
            for each in log["evaluation_results"]
        }
        known = {name: v for name, v in record.metrics["test"].items() if v is not None}
        assert scores == known
        assert log["model_info"]["id"] == model_id(record)
        assert record.digest in log["evaluation_id"]
        details = log["model_info"]["additional_details"]
        assert ("base_model" in details) == (record.kind == "cell")
        assert log["source_metadata"]["source_organization_name"] == "A laboratory"


def test_an_interval_is_students_over_the_users_of_that_seed(whole_board: Path, logs: Path) -> None:
    path, record = next(iter(records(whole_board).items()))
    values = per_user(read_ranks(ranks_path(path)).of_split("test"), "ndcg@10")[1]
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    (found,) = (
        each["score_details"]["uncertainty"]
        for each in log_of(logs, record)["evaluation_results"]
        if each["evaluation_result_id"] == "ndcg@10"
    )
    interval = found["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == pytest.approx((low, high))
    assert found["standard_deviation"] == pytest.approx(float(np.std(values, ddof=1)))
    assert found["num_samples"] == len(values) == record.num_users["test"]
    assert "given this seed" in interval["method"]


def test_a_loss_has_no_upper_end_and_less_of_it_is_better(whole_board: Path, logs: Path) -> None:
    record = read_record(whole_board / "toy" / "gti" / "seed-0.json")
    metrics = {
        each["evaluation_result_id"]: each["metric_config"]
        for each in log_of(logs, record)["evaluation_results"]
    }
    ends = [
        (metrics[name]["lower_is_better"], metrics[name]["min_score"], metrics[name]["max_score"])
        for name in ("trie_nll", "ndcg@10")
    ]
    assert ends == [(True, 0.0, "Infinity"), (False, 0.0, 1.0)]
    assert metrics["ndcg@10"]["metric_parameters"] == {"k": 10}
    assert "metric_parameters" not in metrics["trie_nll"]


def test_the_validator_of_every_eval_ever_passes_every_log_and_refuses_a_broken_one(
    whole_board: Path, logs: Path, tmp_path: Path
) -> None:
    validator = pytest.importorskip("every_eval_ever.validator.validation_core")
    for record in records(whole_board).values():
        name = log_path(record)
        report = validator.validate_file(logs / name, repo_path=name, run_semantic_checks=True)
        assert (report.valid, report.errors, report.warnings) == (True, [], [])
        log = log_of(logs, record)
        log["evaluation_results"][0]["score_details"]["score"] = 1.5
        broken = tmp_path / Path(name).name
        broken.write_text(json.dumps(log), encoding="utf-8")
        assert not validator.validate_file(broken, repo_path=name, run_semantic_checks=True).valid


def test_the_published_schema_of_every_eval_ever_is_met(whole_board: Path, logs: Path) -> None:
    package = pytest.importorskip("every_eval_ever")
    jsonschema = pytest.importorskip("jsonschema")
    schema = Path(package.__file__).parent / "schemas" / "eval.schema.json"
    checker = jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    for record in records(whole_board).values():
        assert list(checker.iter_errors(log_of(logs, record))) == []
        assert list(checker.iter_errors(log_of(logs, record) | {"unknown": 1})) != []


def test_equal_records_give_equal_logs_but_for_the_moment(
    whole_board: Path, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 86400.5)
    out = tmp_path / "out"
    assert exit_code(["export", *LOGS, "--results", str(whole_board), "--out", str(out)]) == 0
    assert files(out) == files(logs)
    for name in files(out):
        one, two = (json.loads((root / name).read_text(encoding="utf-8")) for root in (out, logs))
        assert one.pop("retrieved_timestamp") == "86400"
        assert two.pop("retrieved_timestamp").isdigit()
        assert one == two


def test_the_hub_library_reads_its_results_and_references_have_none(
    whole_board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    out = tmp_path / "out"
    asked = ["--results", str(whole_board), "--out", str(out), "--metric", "recall@10"]
    assert exit_code(["export", "toy", *HUB, *asked]) == 0
    assert "2 references are no models" in capsys.readouterr().out
    cells = [each for each in records(whole_board).values() if each.kind == "cell"]
    assert files(out) == {results_path(record) for record in cells}
    for record in cells:
        content = yaml.safe_load((out / results_path(record)).read_text(encoding="utf-8"))
        (entry,) = hub.parse_eval_result_entries(content)
        assert (entry.dataset_id, entry.task_id) == ("a-laboratory/boards", "toy")
        assert entry.value == record.metrics["test"]["recall@10"]
        assert record.digest in entry.notes
        assert f"method {record.method.key}, seed {record.seed}" in entry.notes
        assert hub.eval_result_entries_to_yaml([entry]) == content


@pytest.mark.parametrize("form", [LOGS, HUB])
def test_a_record_that_does_not_verify_is_left_out_with_a_line(
    factory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: list[str]
) -> None:
    factory.board(methods=("mean", "gti"), seeds=(0,))
    good, bad = (factory.root / "toy" / key / "seed-0.json" for key in ("mean", "gti"))
    edit(bad, lambda content: content["metrics"]["test"].update({"ndcg@10": 0.9}))
    broken = factory.write("random")
    broken.write_text(broken.read_text(encoding="utf-8").replace('"toy"', '"joy"'), "utf-8")
    out = tmp_path / "out"
    assert exit_code(["export", *form, "--results", str(factory.root), "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "1 record exported" in told.out
    assert f"left out: {bad}: `gti-bench verify` finds errors in it" in told.err
    assert f"{broken}: changed since it was written" in told.err
    record = read_record(good)
    assert files(out) == {log_path(record) if form is LOGS else results_path(record)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--format", "every_eval_ever"], "--organization NAME"),
        (["--format", "hf_eval_results"], "--dataset ORG/NAME"),
        (["--format", "hf_eval_results", "--dataset", "boards"], "found 'boards'"),
        ([*LOGS, "--metric", "recall@10"], "every_eval_ever has no place for --metric"),
        ([*HUB, "--organization", "A"], "hf_eval_results has no place for --organization"),
        ([*HUB, "--metric", "ndgc@10"], "ndgc"),
        ([*LOGS, "--out", "{results}/out"], "exports do not go there"),
        ([*LOGS, "--out", "{results}/.."], "is not an empty folder"),
        ([*LOGS, "other"], "no records of setting 'other'"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_written(
    whole_board: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [each.replace("{results}", str(whole_board)) for each in arguments]
    assert exit_code(["export", *named, "--results", str(whole_board)]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
