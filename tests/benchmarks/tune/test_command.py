"""`gti-bench tune` through the real command line: both stages, resumption, writing, divergence."""

import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.inputs.catalogue import find_setting
from benchmarks.perf.honest_records.writer import RecordWriter
from benchmarks.tune.command import stale_records
from benchmarks.tune.trial import trial_state
from leaderboard.metrics.metrics import metrics
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import RecordError, ranks_path
from leaderboard.records.setting import MethodParameters, read_setting
from leaderboard.records.trial import (
    TrialName,
    find_trials,
    read_trial,
    setting_of_trials,
    trial_path,
)
from leaderboard.verify.verify import verify

TABLE = """
[tuning]
seeds = [100, 101]
grounding_rates = [1e-3, 1e-1]
sft_rates = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2]
"""
SFT = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SEEDS = (100, 101)


def with_table(path: Path, table: str = TABLE) -> Path:
    path.write_text(path.read_text(encoding="utf-8") + table, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, write_setting, gti_bench):
    """The rates of `gti`, on very little: (setting file, results, what was printed).

    Found by two commands that share the trials.
    """
    folder = tmp_path_factory.mktemp("tune")
    setting = with_table(write_setting(folder, passes="0.2", curve_points="1", rates='"shared"'))
    results = folder / "results"
    asked = ("tune", setting, "--methods", "gti", "--workers", "1", "--results", results)
    with ThreadPoolExecutor() as both:  # two at a time on one results directory
        found = list(both.map(lambda _: gti_bench(*asked), range(2)))
    assert [done.returncode for done in found] == [0, 0], found
    # Which trial each of them ended: "gti sft 1 seed 100 … [3/10]".
    lines = [line for done in found for line in (done.stdout + done.stderr).splitlines()]
    ended = [line.split()[:5] for line in lines if line.endswith("]") and " seed " in line]
    assert len(ended) == len(set(map(tuple, ended))) == 2 * 2 + 5 * 2, lines
    return setting, results, found[0]


def trial(results: Path, stage: str, number: int, seed: int = 100) -> Path:
    return trial_path(results, "tiny", "gti", TrialName(stage=stage, number=number), seed)


def test_every_trial_is_recorded_with_all_that_was_tried(tuned):
    setting, results, _ = tuned
    basis = setting_of_trials(read_setting(setting).setting)
    assert len(list(find_trials(results))) == 2 * 2 + 5 * 2
    grounding = [read_trial(trial(results, "grounding", n, s)) for n in (1, 2) for s in SEEDS]
    sft = [read_trial(trial(results, "sft", n, s)) for n in (1, 2, 3, 4, 5) for s in SEEDS]
    for found in (*grounding, *sft):
        assert found.setting_hash == basis.hash
        assert found.seconds > 0
        assert found.environment.threads == 1
        assert "test" not in found.cost
    rates = [found.method.parameters.grounding_learning_rate for found in grounding]
    assert rates == [1e-3, 1e-3, 1e-1, 1e-1]
    assert [found.seed for found in grounding] == [100, 101] * 2
    best = min((1, 2), key=lambda n: sum(g.score for g in grounding if g.number == n))
    for found, (rate, seed) in zip(sft, [(r, s) for r in SFT for s in SEEDS], strict=True):
        assert found.method.parameters == MethodParameters(
            sft_learning_rate=rate, grounding_learning_rate=(1e-3, 1e-1)[best - 1]
        )
        assert found.seed == seed
        assert found.num_users == 40
        assert found.learning_curve[0].step == 0
        assert found.seconds > found.cost["sft"].seconds > 0


def test_the_first_stage_has_no_sft_and_its_score_is_that_of_held_out_pairs(tuned):
    _, results, _ = tuned
    found = read_trial(trial(results, "grounding", 1))
    assert "grounding" in found.cost
    assert "sft" not in found.cost
    assert found.learning_curve == ()
    assert found.ranks is found.metrics is found.num_users is None
    assert not ranks_path(trial(results, "grounding", 1)).exists()
    held_out = [pair.true for pair in found.treatment.pairs if pair.share == "held_out"]
    assert len(held_out) == 2
    assert found.score == math.fsum(held_out) / 2


def test_the_second_stages_score_follows_from_the_ranks_beside_it_and_test_is_not_among_them(tuned):
    _, results, _ = tuned
    path = trial(results, "sft", 2)
    found, ranks = read_trial(path), read_ranks(ranks_path(path))
    assert set(ranks.split.tolist()) == {"validation"}
    assert found.score == pytest.approx(ranks.trie_nll.mean(), rel=1e-12)
    assert found.score == metrics(ranks, found.cutoffs, found.beam)["trie_nll"]
    assert "test" not in json.loads(path.read_text())


def test_the_trials_pass_verify(tuned):
    _, results, _ = tuned
    assert [finding for finding in verify(results) if finding.level == "error"] == []


def test_the_tables_name_the_rates_found_and_the_rule(tuned):
    _, _, done = tuned
    for part in (
        "by gti without SFT",
        "Grounding rate for all methods: ",
        "validation trie_nll over all 40 users at the last step, mean of seeds 100 and 101",
        "test data is not scored",
        "lead ± s.e. at 100",
        "One shared SFT rate for gti: ",
        "--write puts the rates",
    ):
        assert part in done.stdout, done.stdout


def test_a_second_time_nothing_runs_and_a_changed_trial_is_found(tuned, gti_bench, tmp_path):
    setting, results, first = tuned
    before = {path: path.stat().st_mtime_ns for path in results.rglob("trial-*")}
    again = gti_bench("tune", setting, "--methods", "gti", "--results", results)
    assert again.returncode == 0, again.stderr
    assert "trials to run" not in again.stdout
    assert {path: path.stat().st_mtime_ns for path in results.rglob("trial-*")} == before
    for line in again.stdout.splitlines():
        assert line in first.stdout

    copy = tmp_path / "trial-grounding-1-100.json"
    content = json.loads(trial(results, "grounding", 1).read_text())
    copy.write_text(json.dumps({**content, "score": 0.9}))
    with pytest.raises(RecordError, match="changed since it was written"):
        read_trial(copy)
    assert trial_state(copy, content["cell_hash"]) == "damaged"


def test_written_rates_are_what_run_uses_and_the_trials_stay_valid(tuned, gti_bench, tmp_path):
    setting, results, done = tuned
    (tmp_path / "own").mkdir()
    copy = Path(shutil.copy(setting, tmp_path / "own" / setting.name))
    old = read_setting(copy)
    written = gti_bench("tune", copy, "--methods", "gti", "--results", results, "--write")
    assert written.returncode == 0, written.stderr
    assert "trials to run" not in written.stdout
    new = read_setting(copy)
    rate = f"{new.setting.sft.learning_rate:.0e}".replace("e-0", "e-")
    assert f"One shared SFT rate for gti: {rate} " in done.stdout
    assert new.setting.grounding.learning_rate in (1e-3, 1e-1)
    assert new.methods == {}
    expected = old.setting.model_dump()
    expected["sft"]["learning_rate"] = new.setting.sft.learning_rate
    expected["grounding"]["learning_rate"] = new.setting.grounding.learning_rate
    assert new.setting.model_dump() == expected
    # What is done stays done: the trials' identity does not hang on the rates that were chosen.
    again = gti_bench("tune", copy, "--methods", "gti", "--results", results, "--write")
    assert "trials to run" not in again.stdout
    assert "holds these values already" in again.stdout


def test_records_of_the_old_rates_are_named_as_stale(tmp_path, write_setting):
    path = with_table(write_setting(tmp_path))
    file, results = find_setting(str(path)), tmp_path / "results"
    writer = RecordWriter(results, setting=file.setting)
    records = [writer.write("mean"), writer.write("gti")]
    assert stale_records(file, [results, results]) == []
    table = {"gti": MethodParameters(sft_learning_rate=9e-3)}
    assert stale_records(file.model_copy(update={"methods": table}), [results]) == records[1:]
    sft = file.setting.sft.model_copy(update={"learning_rate": 9e-3})
    other = file.setting.model_copy(update={"sft": sft})
    stale = stale_records(file.model_copy(update={"setting": other}), [results])
    assert sorted(stale) == sorted(records)


def run_here(spec_of, setting: Path, results: Path, stage: str, **rates: float) -> Path:
    """One trial of `gti` in this process."""
    from benchmarks.cell.trial import run_trial

    spec = spec_of(setting, "gti", 100)
    point = MethodParameters(**rates)
    return run_trial(replace(spec, parameters=point), TrialName(stage=stage, number=1), results)


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
    setting = with_table(write_setting(tmp_path, passes="0.2", curve_points="1"))
    run_here(spec_of, setting, tmp_path / "results", "sft", sft_learning_rate=3e-3)
    assert set(asked) == {"validation"}


@pytest.mark.parametrize("stage", ["grounding", "sft"])
def test_a_diverged_trial_is_a_trial_without_a_score(write_setting, spec_of, tmp_path, stage):
    setting = with_table(write_setting(tmp_path))
    rates = {f"{stage}_learning_rate": 1e30}
    path = run_here(spec_of, setting, tmp_path / "results", stage, **rates)
    found = read_trial(path)
    assert found.score is found.metrics is found.ranks is found.treatment is None
    assert "training diverged" in found.diverged
    assert "1e+30" in found.diverged
    assert trial_state(path, found.cell_hash) == "done"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "has no [tuning] table"),
        (TABLE.replace("[100, 101]", "[100, 1]"), "1 is one of the board's seeds"),
        (TABLE.replace("[100, 101]", "[]"), "tuning.seeds"),
        (TABLE.replace("[100, 101]", "[100]"), "asks for a lead at two seeds"),
        (TABLE.replace("[1e-4, 1e-3,", "[1e-3, 1e-4,"), "must rise"),
    ],
)
def test_bad_tables_are_wrong_input(write_setting, capsys, tmp_path, table, message):
    setting = with_table(write_setting(tmp_path), table)
    assert exit_code(["tune", str(setting), "--results", str(tmp_path / "results")]) == 2
    assert message in capsys.readouterr().err


def test_one_seed_will_do_where_all_methods_have_one_rate(write_setting, gti_bench, tmp_path):
    table = TABLE.replace("[100, 101]", "[100]").replace("grounding_rates = [1e-3, 1e-1]\n", "")
    setting = with_table(
        write_setting(tmp_path, passes="0.1", curve_points="1", rates='"shared"'), table
    )
    results = tmp_path / "results"
    done = gti_bench("tune", str(setting), "--methods", "mean", "--results", str(results))
    assert done.returncode == 0, done.stderr
    assert "at the last step, seed 100; lower is better" in " ".join(done.stdout.split())
    assert "lead ± s.e. at 100" in done.stdout
    assert "One shared SFT rate for mean" in done.stdout
    assert len([*results.rglob("trial-sft-*.json")]) == 5


def test_controls_alone_are_not_tuned_where_rates_are_own(write_setting, capsys, tmp_path):
    setting = with_table(write_setting(tmp_path))
    asked = ["tune", str(setting), "--methods", "gti_shuffled", "--results", str(tmp_path / "r")]
    assert exit_code(asked) == 2
    assert "gti_shuffled: nothing to tune, their rates are those of gti" in capsys.readouterr().err


def test_an_unknown_method_is_wrong_usage(write_setting, capsys, tmp_path):
    setting = with_table(write_setting(tmp_path))
    assert exit_code(["tune", str(setting), "--methods", "gtl"]) == 2
    assert "did you mean 'gti'" in capsys.readouterr().err
