"""Whole runs through the real command line: boards, resumption, kills, failures."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from leaderboard.ranks import read_ranks
from leaderboard.record import PROTOCOL_VERSION, ranks_path, read_content, read_record

ROOT = Path(__file__).resolve().parent.parent.parent
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


def lasting(path: Path) -> dict[str, object]:
    """What of a record must be equal whenever the cell runs again: all but times and places."""
    content = read_content(path)
    for volatile in ("cost", "environment", "code", "digest"):
        del content[volatile]
    for point in content["learning_curve"]:
        del point["seconds"]
    return content


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
        assert record.budget.extra_spent_flops == pytest.approx(expected, rel=0.03)


def test_a_provisional_board_stands_after_each_seed_but_the_last(finished, gti_bench, tmp_path):
    setting, _, _ = finished
    done = gti_bench("run", setting, "--methods", "mean,random", "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test ndcg@10") == 2
    assert done.stdout.count("provisional") >= 1
    assert "provisional" not in done.stdout.rpartition("test ndcg@10")[2]


def test_a_cell_is_the_same_whatever_runs_beside_it(finished, gti_bench, tmp_path):
    setting, results, _ = finished
    again = gti_bench(
        "run", setting, "--seeds", "0", "--workers", "1", "--methods", "gti,lc_rec",
        "--results", tmp_path / "again",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    for name in ("gti", "lc_rec"):
        first, second = cell(results, name), cell(tmp_path / "again", name)
        assert lasting(first) == lasting(second)
        assert ranks_path(first).read_bytes() == ranks_path(second).read_bytes()


FORKS = """
import os, sys
import torch, transformers.models.llama.modeling_llama
import benchmarks.cell, benchmarks.inputs, baselines.registry, benchmarks.worker
for line in sys.stdin:
    own, events = line.split()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(own, os.O_RDONLY), 0)
        os.dup2(os.open(events, os.O_WRONLY), 1)
        os._exit(benchmarks.worker.main())
    print(child, flush=True)
    os.waitpid(child, 0)
"""


class Workers:
    """Real workers with one cell each, to be killed at chosen moments.

    They are forked from a process that has loaded the libraries, so that a kill costs a second.
    """

    def __init__(self, setting: Path, results: Path, method: str, folder: Path) -> None:
        from benchmarks.catalogue import find_setting

        self.job = {
            "setting": find_setting(str(setting)).setting.model_dump(mode="json"),
            "method": method,
            "parameters": {},
            "seed": 0,
            "results": str(results),
            "device": "cpu",
            "offline": True,
        }
        self.pipes = (folder / "job", folder / "events")
        for pipe in self.pipes:
            os.mkfifo(pipe)
        self.parent = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def kill_at(self, stage: str, share: float) -> None:
        """Starts a worker and kills it when `stage` is at `share` of its length (0: its start)."""
        self.parent.stdin.write(" ".join(map(str, self.pipes)) + "\n")
        self.parent.stdin.flush()
        child = int(self.parent.stdout.readline())
        with self.pipes[0].open("w") as own, self.pipes[1].open() as events:
            own.write(json.dumps(self.job) + "\n")
            own.flush()
            reached = any(self._is_there(json.loads(line), stage, share) for line in events)
            assert reached, f"the worker never came to {stage} {share}"
            os.kill(child, signal.SIGKILL)

    @staticmethod
    def _is_there(event: dict[str, object], stage: str, share: float) -> bool:
        if event.get("stage") != stage:
            return False
        return share == 0 or (
            event["event"] == "progress" and event["done"] >= share * event["total"]
        )


# The beginning of every stage, and also the middle and the end of those that tell how far they are.
KILLS = {
    "gti": [(stage, 0) for stage in ("start", "load", "init", "score", "save")]
    + [
        (stage, at) for stage in ("grounding", "sft", "validation", "test") for at in (0.02, 0.5, 1)
    ],
    "lc_rec": [("sft", 0.5), ("save", 0)],
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and named pipes")
@pytest.mark.parametrize("method", KILLS)
def test_kills_at_every_stage_leave_nothing_and_the_next_run_gives_the_same(
    finished, gti_bench, tmp_path, method
):
    setting, whole, _ = finished
    results = tmp_path / "results"
    record = cell(results, method)
    workers = Workers(setting, results, method, tmp_path)
    with workers.parent as parent:
        for stage, share in KILLS[method]:
            workers.kill_at(stage, share)
            if record.exists():  # killed while saving, the record may just have been committed
                assert stage == "save"
                assert lasting(record) == lasting(cell(whole, method))
                record.unlink()
        parent.stdin.close()
    again = gti_bench(
        "run", setting, "--seeds", "0", "--methods", method, "--workers", "1",
        "--results", results,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert lasting(record) == lasting(cell(whole, method))
    assert gti_bench("verify", results).returncode == 0


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.005, 0.01, 0.02])
def test_a_kill_while_saving_leaves_a_whole_record_or_none(finished, tmp_path, delay):
    """The save step alone, in a process that is killed `delay` seconds after it began."""
    _, results, _ = finished
    source = cell(results, "gti")
    target = cell(tmp_path, "gti")
    script = (
        "import sys; from pathlib import Path; from leaderboard.canonical import write_atomically;"
        "source, target = map(Path, sys.argv[1:]); print('ready', flush=True);"
        "[write_atomically(target.with_name(f.name), f.read_bytes())"
        " for _ in range(10_000) for f in (ranks_path(source), source)]"
    ).replace("from pathlib", "from leaderboard.record import ranks_path; from pathlib")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(source), str(target)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.kill()
    for written, original in ((target, source), (ranks_path(target), ranks_path(source))):
        assert not written.exists() or written.read_bytes() == original.read_bytes()
    assert ranks_path(target).exists() or not target.exists()


def start_run(setting: Path, results: Path) -> "subprocess.Popen[str]":
    """The real command line, running two cells at a time, to be disturbed."""
    command = [sys.executable, "-m", "benchmarks.cli", "run", str(setting)]
    return subprocess.Popen(
        [*command, "--workers", "2", "--results", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GTI_TEST_RUN": str(results)},
        # A shell that runs the tests in the background has interrupts ignored; undone here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_killing_the_run_ends_its_workers_and_keeps_what_is_finished(finished, tmp_path):
    setting, _, _ = finished
    with start_run(setting, tmp_path) as run:
        assert "ndcg@10" in run.stderr.readline()  # the first finished cell
        run.kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and orphans(tmp_path):
        time.sleep(0.2)
    assert not orphans(tmp_path)
    finished_records = [read_record(p) for p in tmp_path.rglob("seed-*.json")]
    assert {record.kind for record in finished_records} == {"cell", "reference"}


def orphans(results: Path) -> list[str]:
    """Workers of the run into `results` whose parent is gone (Linux tells; elsewhere none)."""
    mark = f"GTI_TEST_RUN={results}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            own = mark in (entry / "environ").read_bytes().split(b"\0")
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if own and b"benchmarks.worker" in command and parent == "1":
            found.append(entry.name)
    return found


def test_interrupting_a_run_says_so_and_exits_130(finished, tmp_path):
    setting, _, _ = finished
    with start_run(setting, tmp_path) as run:
        assert "cells to run" in run.stdout.readline()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "interrupted" in errors


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
    write_setting, gti_bench, tmp_path
):
    setting = write_setting(tmp_path, style="chat")
    done = gti_bench(
        "run", setting, "--seeds", "0", "--methods", "mean", "--results", tmp_path / "results"
    )
    assert done.returncode == 0, done.stderr
    record = read_record(cell(tmp_path / "results", "mean"))
    assert any("no chat template" in warning for warning in record.warnings)


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
    assert names == {".svg", ".png"}


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
    write_setting, gti_bench, tmp_path
):
    lora = 'lora = { rank = 2, alpha = 4.0, dropout = 0.1, targets = ["q_proj", "v_proj"] }'
    setting = write_setting(tmp_path, dtype=f'"float32"\n{lora}')
    done = gti_bench(
        "run", setting, "--seeds", "0", "--methods", "gti", "--results", tmp_path / "results"
    )
    assert done.returncode == 0, done.stderr
    record = read_record(cell(tmp_path / "results", "gti"))
    assert record.setting.backbone.lora.rank == 2
    trained = {proof.stage: proof.trainable_parameters for proof in record.proofs}
    assert trained["grounding"] == 16 * 192
    assert trained["sft"] < 3_147_456  # matrix and adapters, not the whole model
    assert gti_bench("verify", tmp_path / "results").returncode == 0
