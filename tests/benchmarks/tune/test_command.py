"""`gti-bench tune` through the real command line: trials, resumption, writing, divergence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.inputs.catalogue import find_setting
from benchmarks.perf.honest_records.writer import RecordWriter
from benchmarks.tune.trial import trial_state
from leaderboard.metrics.metrics import metrics
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import RecordError, ranks_path, read_record
from leaderboard.records.setting import read_setting
from leaderboard.records.trial import read_trial, trial_path

TABLE = """
[tuning]
trials = 2
seed = 100
sft_learning_rate = [1e-3, 1e-2]
grounding_learning_rate = [1e-3, 1e-1]
auxiliary_loss_weight = [0.1, 10.0]
"""


def with_table(path: Path, table: str = TABLE) -> Path:
    path.write_text(path.read_text(encoding="utf-8") + table, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, write_setting, gti_bench):
    """Two methods, two trials each: (setting file, results, what was printed)."""
    folder = tmp_path_factory.mktemp("tune")
    setting = with_table(write_setting(folder, passes="0.5", curve_points="1"))
    results = folder / "results"
    done = gti_bench(
        "tune", setting, "--methods", "mean,gti", "--workers", "2", "--results", results
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return setting, results, done


def trial(results: Path, method: str, number: int) -> Path:
    return trial_path(results, "tiny", method, number)


def test_every_trial_is_recorded_with_all_that_was_tried(tuned):
    setting, results, _ = tuned
    file = read_setting(setting)
    for method in ("mean", "gti"):
        trials = [read_trial(trial(results, method, n)) for n in (1, 2)]
        for found in trials:
            assert found.seed == 100
            assert found.setting_hash == file.setting.hash
            assert found.score == found.metrics["ndcg@10"]
            assert found.num_users == 40
            assert found.learning_curve[0].step == 0
            assert found.cost["sft"].seconds > 0
            assert found.seconds > found.cost["sft"].seconds
            assert found.code.version
            assert found.environment.threads == 1
        # Points 1/2 and 1/4 of the way from 1e-3 to 1e-2: 3.2e-3 and 1.8e-3.
        assert [t.method.parameters.sft_learning_rate for t in trials] == [3.2e-3, 1.8e-3]
    # Points 1/3 and 2/3 of the way from 1e-3 to 1e-1.
    rates = [
        read_trial(trial(results, "gti", n)).method.parameters.grounding_learning_rate
        for n in (1, 2)
    ]
    assert rates == [4.6e-3, 2.2e-2]


def test_a_score_follows_from_the_ranks_beside_it_and_test_is_not_among_them(tuned):
    _, results, _ = tuned
    path = trial(results, "gti", 1)
    found = read_trial(path)
    ranks = read_ranks(ranks_path(path))
    assert set(ranks.split.tolist()) == {"validation"}
    assert metrics(ranks, found.cutoffs, found.beam) == found.metrics
    assert "test" not in json.loads(path.read_text())
    assert "test" not in found.cost


def test_the_table_names_the_best_points_the_rule_and_the_noise(tuned):
    _, results, done = tuned
    for part in (
        "2 trials for each method, whatever it has to tune",
        "test data is not scored",
        "lead ± s.e.",
        "One shared SFT rate for mean, gti:",
        "--write puts the best points",
    ):
        assert part in done.stdout, done.stdout
    best = max((read_trial(trial(results, "gti", n)) for n in (1, 2)), key=lambda t: t.score)
    line = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["gti"])
    assert f"{best.score:.4f}".lstrip("0") in line


def test_a_second_time_nothing_runs_and_a_changed_trial_is_found(tuned, gti_bench, tmp_path):
    setting, results, first = tuned
    before = {path: path.stat().st_mtime_ns for path in results.rglob("trial-*")}
    again = gti_bench("tune", setting, "--methods", "mean,gti", "--results", results)
    assert again.returncode == 0, again.stderr
    assert "trials to run" not in again.stdout
    assert again.stdout.strip() in first.stdout
    assert {path: path.stat().st_mtime_ns for path in results.rglob("trial-*")} == before

    copy = tmp_path / "trial-1.json"
    content = json.loads(trial(results, "mean", 1).read_text())
    copy.write_text(json.dumps({**content, "score": 0.9}))
    with pytest.raises(RecordError, match="changed since it was written"):
        read_trial(copy)
    assert trial_state(copy, content["cell_hash"]) == "damaged"


def test_written_rates_are_what_run_uses_and_the_methods_hashes_change(
    tuned, write_setting, gti_bench, tmp_path
):
    setting, results, _ = tuned
    old = read_setting(setting)
    written = gti_bench("tune", setting, "--methods", "mean,gti", "--results", results, "--write")
    assert written.returncode == 0, written.stderr
    assert "+[method.gti]" in written.stdout
    assert "method hash" in written.stdout
    new = read_setting(setting)
    assert new.setting.hash == old.setting.hash
    best = max((read_trial(trial(results, "mean", n)) for n in (1, 2)), key=lambda t: t.score)
    assert new.parameters("mean") == best.method.parameters
    done = gti_bench(
        "run", setting, "--methods", "mean", "--seeds", "0", "--results", tmp_path / "results"
    )
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "results" / "tiny" / "mean" / "seed-0.json")
    assert record.method.parameters == best.method.parameters
    # What is done stays done: the trials' identity does not hang on the method tables.
    again = gti_bench("tune", setting, "--methods", "mean,gti", "--results", results, "--write")
    assert "trials to run" not in again.stdout
    assert "holds these values already" in again.stdout


def test_a_record_of_the_old_rate_is_named_as_stale(tmp_path, write_setting):
    from benchmarks.tune.command import write_tables

    setting = with_table(write_setting(tmp_path))
    writer = RecordWriter(tmp_path / "results", setting=find_setting(str(setting)).setting)
    path = writer.write("mean")
    lines = write_tables(
        str(setting), {"mean": {"sft_learning_rate": 9e-3}}, [tmp_path / "results"]
    )
    assert "1 records are of the old hashes" in "\n".join(lines)
    assert str(path) in "\n".join(lines)


def run_here(spec_of, setting: Path, results: Path, rate: float) -> Path:
    """One trial of `mean` in this process."""
    from benchmarks.cell.trial import run_trial
    from leaderboard.records.setting import MethodParameters

    spec = spec_of(setting, "mean", 100)
    point = MethodParameters(sft_learning_rate=rate)
    return run_trial(replace(spec, parameters=point), 1, results)


def test_a_trial_never_asks_the_scorer_for_test_users(
    write_setting, spec_of, tmp_path, monkeypatch
):
    from benchmarks.cell.scoring import Scorer

    asked: list[str] = []
    plain = Scorer.counts

    def counts(self, model, part, *rest):
        asked.append(part)
        return plain(self, model, part, *rest)

    monkeypatch.setattr(Scorer, "counts", counts)
    run_here(spec_of, with_table(write_setting(tmp_path)), tmp_path / "results", 3e-3)
    assert asked
    assert set(asked) == {"validation"}


def test_a_diverged_trial_is_a_trial_without_a_score(write_setting, spec_of, tmp_path):
    path = run_here(spec_of, with_table(write_setting(tmp_path)), tmp_path / "results", 1e30)
    found = read_trial(path)
    assert found.score is found.metrics is found.ranks is None
    assert "training diverged" in found.diverged
    assert "1e+30" in found.diverged
    assert trial_state(path, found.cell_hash) == "done"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "has no [tuning] table"),
        (TABLE.replace("seed = 100", "seed = 1"), "is one of its seeds"),
        (TABLE.replace("trials = 2", "trials = 0"), "tuning.trials"),
        (TABLE.replace("[1e-3, 1e-2]", "[1e-2, 1e-3]"), "bounds swapped"),
    ],
)
def test_bad_tables_are_wrong_input(write_setting, capsys, tmp_path, table, message):
    setting = with_table(write_setting(tmp_path), table)
    assert exit_code(["tune", str(setting), "--results", str(tmp_path / "results")]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_method_is_wrong_usage(write_setting, capsys, tmp_path):
    setting = with_table(write_setting(tmp_path))
    assert exit_code(["tune", str(setting), "--methods", "gtl"]) == 2
    assert "did you mean 'gti'" in capsys.readouterr().err
