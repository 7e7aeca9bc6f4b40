"""Pull requests that add records, each in a git repository of its own: what is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.inputs.catalogue import find_setting
from benchmarks.perf.honest_records.edits import edit
from benchmarks.perf.honest_records.reproductions import exact_line
from benchmarks.perf.honest_records.trials import grounding_trial, sft_trial
from leaderboard.records.record import ranks_path, read_record
from leaderboard.records.reproductions import append_reproduction, reproductions_path
from leaderboard.records.shipped import Shipped
from leaderboard.verify.submission import (
    Submission,
    SubmissionError,
    check_submission,
    submission_lines,
)

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

PROJECT = Path(__file__).parents[3]
NAMED = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A Tester"), ("EMAIL", "tester@example.org"))
} | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(root: Path, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    subprocess.run(command, env=environment | NAMED, check=True, capture_output=True)


@pytest.fixture
def checkout(factory: Any) -> Any:
    """A factory whose records of mean and gti are committed on main; the branch is `more`."""
    root = factory.root.parent
    factory.root = root / "leaderboard" / "results"
    factory.board(("mean", "gti"))
    (root / "CHANGELOG.md").write_text("# Changelog\n\n### Numbers changed\n\n- An old line.\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "start")
    git(root, "checkout", "-q", "-b", "more")
    return factory


def commit(checkout: Any) -> None:
    root = checkout.root.parent.parent
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "more")


def fields_of(found: Submission) -> list[tuple[str, str]]:
    return [(Path(f.file).name, f.field) for f in found.findings if f.level == "error"]


def test_an_honest_addition_is_taken_committed_or_not(checkout: Any) -> None:
    checkout.write("random", 0)
    checkout.write("popularity")
    loose = check_submission(checkout.root)
    commit(checkout)
    for found in (loose, check_submission(checkout.root, "main")):
        assert found.findings == ()
        assert found.added == ("toy/popularity/seed-0.json", "toy/random/seed-0.json")
        assert (found.changed, found.removed) == ((), ())
        added = [
            p for key in ("random", "popularity") for p in (checkout.root / "toy" / key).iterdir()
        ]
        assert found.bytes_added == sum(path.stat().st_size for path in added)


def test_a_checkout_without_changes_has_nothing_to_find(checkout: Any) -> None:
    found = check_submission(checkout.root)
    assert (found.added, found.bytes_added, found.findings) == ((), 0, ())
    assert submission_lines(found)[-1].endswith("0 errors, 0 warnings")


def rerun_differently(checkout: Any) -> None:
    checkout.write("gti", 1, skill=0.9)


def remove(checkout: Any) -> None:
    shutil.rmtree(checkout.root / "toy" / "gti")


@pytest.mark.parametrize("change", [rerun_differently, remove])
def test_a_number_changes_only_with_a_new_line_that_names_it(
    checkout: Any, change: Callable[[Any], None]
) -> None:
    changelog = checkout.root.parent.parent / "CHANGELOG.md"
    change(checkout)
    found = check_submission(checkout.root)
    assert found.errors
    assert {Path(each.file).parent.name for each in found.findings} == {"gti"}
    assert 'new line under "Numbers changed" in CHANGELOG.md with toy/gti' in str(found.findings[0])
    text = changelog.read_text()
    for line in ("- `toy/gti_lc_rec` moved.", "- `toy/mean` moved.", "- `my-toy/gti` moved."):
        changelog.write_text(text + line + "\n")
        assert check_submission(checkout.root).errors == found.errors
    changelog.write_text("- `toy/gti` moved.\n" + text)  # not under the heading
    assert check_submission(checkout.root).errors == found.errors
    for line in ("- `toy/gti`: a reason.", "- toy/*: a reason."):
        changelog.write_text(text + line + "\n")
        assert check_submission(checkout.root).findings == ()


def test_an_old_line_of_the_changelog_excuses_nothing_new(checkout: Any) -> None:
    root = checkout.root.parent.parent
    git(root, "checkout", "-q", "main")
    with (root / "CHANGELOG.md").open("a") as file:
        file.write("- toy/gti moved once.\n")
    commit(checkout)
    git(root, "checkout", "-q", "more")
    git(root, "merge", "-q", "main")
    rerun_differently(checkout)
    assert check_submission(checkout.root).errors


def test_the_same_record_in_another_layout_is_no_change(checkout: Any) -> None:
    path = checkout.root / "toy/gti/seed-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    found = check_submission(checkout.root)
    assert (found.findings, found.changed) == ((), ("toy/gti/seed-0.json",))


def test_the_same_scores_in_a_changed_record_are_a_warning(checkout: Any) -> None:
    path = checkout.root / "toy/gti/seed-0.json"
    edit(path, lambda content: content["environment"].update(machine="another"))
    found = check_submission(checkout.root)
    assert (found.errors, found.changed) == (0, ("toy/gti/seed-0.json",))
    assert [str(each).partition(": found ")[2] for each in found.findings] == [
        "changed, with the same scores, expected a reason in the pull request"
    ]


def test_a_record_that_verify_refuses_is_refused(checkout: Any) -> None:
    path = checkout.write("random", 0)
    edit(path, lambda content: content["metrics"]["test"].update({"recall@10": 0.99}))
    found = check_submission(checkout.root)
    assert ("seed-0.json", "metrics.test.recall@10") in fields_of(found)


def test_a_sidecar_lost_from_an_untouched_record_is_found(checkout: Any) -> None:
    (checkout.root / "toy/gti/seed-0.ranks.parquet").unlink()
    assert ("seed-0.json", "files.ranks") in fields_of(check_submission(checkout.root))


def test_an_input_that_records_name_cannot_go(checkout: Any) -> None:
    next((checkout.root / "inputs").iterdir()).unlink()
    assert ("seed-0.json", "inputs.semantic_ids") in fields_of(check_submission(checkout.root))


@pytest.mark.parametrize(
    "name", ["notes.txt", "toy/gti/seed-0.log", "toy/gti/seed-x.json", "inputs/mine.npz", "a/b/c/d"]
)
def test_a_file_of_another_name_is_refused(checkout: Any, name: str) -> None:
    path = checkout.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    finding = check_submission(checkout.root).findings[0]
    assert (finding.file, finding.found) == (str(path), "a file of another name")


def test_a_link_is_refused(checkout: Any) -> None:
    link = checkout.root / "toy/gti/seed-9.ranks.parquet"
    link.symlink_to(checkout.root / "toy/gti/seed-0.ranks.parquet")
    assert ("seed-9.ranks.parquet", "") in fields_of(check_submission(checkout.root))


def test_large_files_are_refused_one_by_one_and_together(
    checkout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.write("random", 0)
    monkeypatch.setattr("leaderboard.verify.submission.MOST_ADDED", 5_000)
    (finding,) = check_submission(checkout.root).findings
    assert finding.field == "(size of all that is added)"
    with (checkout.root / "inputs" / f"{'0' * 64}.npz").open("wb") as file:
        file.truncate(16 * 2**20 + 1)
    fields = fields_of(check_submission(checkout.root))
    assert (f"{'0' * 64}.npz", "(size)") in fields


@pytest.mark.parametrize(
    ("code", "field"),
    [
        ({"plain": True}, "code.plain"),
        ({"dirty": True}, "code"),
        ({"commit": None, "dirty": None}, "code"),
    ],
)
def test_code_that_nobody_else_can_run_is_refused(
    checkout: Any, code: dict[str, object], field: str
) -> None:
    path = checkout.write("random", 0)
    edit(path, lambda content: content["code"].update(code))
    assert ("seed-0.json", field) in fields_of(check_submission(checkout.root))


def test_a_shipped_settings_name_stands_for_the_shipped_setting(checkout: Any) -> None:
    path = checkout.write("random", 0)
    own, method = read_record(path).setting, read_record(path).method

    def found(known: bool = True, **changes: Any) -> tuple[Any, ...]:
        card = method if known else None
        shipped = Shipped({"toy": own.model_copy(update=changes)}, lambda *_: card)
        return check_submission(checkout.root, shipped=shipped).findings

    assert found() == found(seeds=(0, 1, 2, 3, 4)) == found(summary="in other words") == ()
    for changes, field in (
        ({"evidence": True}, "setting_hash"),
        ({"seeds": (0, 1)}, "setting.seeds"),
    ):
        (finding,) = found(**changes)
        assert (finding.file, finding.field, finding.level) == (str(path), field, "error")
    (finding,) = found(known=False)  # a method that nobody else has
    assert (finding.file, finding.field, finding.level) == (str(path), "method.key", "error")


def test_a_shipped_methods_name_stands_for_its_shipped_rates_and_words(checkout: Any) -> None:
    path = checkout.write("random", 0)
    record = read_record(path)

    def found(**changes: Any) -> list[tuple[str, str]]:
        card = record.method.model_copy(update=changes)
        shipped = Shipped({"toy": record.setting}, lambda *_: card)
        return fields_of(check_submission(checkout.root, shipped=shipped))

    tuned = record.method.parameters.model_copy(update={"sft_learning_rate": 0.5})
    assert found() == []
    assert found(parameters=tuned) == [("seed-0.json", "method_hash")]
    assert found(source="elsewhere") == [("seed-0.json", "method.source")]
    assert found(group="control") == [("seed-0.json", "method_hash")]


def test_reproductions_are_added_to_and_never_taken_away(checkout: Any) -> None:
    path = checkout.root / "toy/gti/seed-0.reproductions.jsonl"
    path.write_text('{"one": 1}\n')
    commit(checkout)
    git(checkout.root.parent.parent, "branch", "-f", "main", "more")
    path.write_text('{"two": 2}\n')
    found = check_submission(checkout.root)
    assert any(each.found == "1 reproductions fewer" for each in found.findings)
    path.write_text('{"one": 1}\n{"two": 2}\n')
    assert not any("fewer" in each.found for each in check_submission(checkout.root).findings)


def test_what_cannot_be_compared_is_said(checkout: Any, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="no branch or commit nowhere; name one with --base"):
        check_submission(checkout.root, "nowhere")
    with pytest.raises(SubmissionError, match="no such directory"):
        check_submission(checkout.root / "none")
    git(checkout.root.parent.parent, "checkout", "-q", "--orphan", "apart")
    commit(checkout)
    with pytest.raises(SubmissionError, match="share no commit"):
        check_submission(checkout.root, "main")


def test_the_command_line_says_it_in_lines_and_exit_codes(
    checkout: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["check-results", "--results", str(checkout.root)]
    checkout.write("random", 0)
    assert exit_code(arguments) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.partition(": ")[2].partition(" (")[0] == "1 added, 0 changed, 0 removed"
    assert exit_code([*arguments, "--base", "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (checkout.root / "notes.txt").write_text("x")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cli.app", *arguments, "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    findings = json.loads(done.stdout)["findings"]
    assert (done.returncode, [each["found"] for each in findings]) == (
        1,
        ["a file of another name"],
    )


def test_a_trial_that_is_none_is_refused_and_so_is_what_lies_beside_it(checkout: Any) -> None:
    there = checkout.root / "tuning" / "toy" / "mean"
    there.mkdir(parents=True)
    (there / "trial-1.json").write_text("{}")
    (there / "notes.txt").write_text("rates")
    found = check_submission(checkout.root).findings
    assert {Path(each.file).name for each in found} == {"trial-1.json", "notes.txt"}
    assert any(each.expected == "a readable trial" for each in found)


def test_trials_are_taken_and_checked_as_records_are(checkout: Any) -> None:
    setting = find_setting("ml-100k-nano").setting
    grounding_trial(checkout.root, setting, 2, 101, (4.0, 3.0))
    path = sft_trial(checkout.root, setting, "mean", 1, 100, [4.0, 3.0, 5.0])
    assert check_submission(checkout.root).errors == 0
    ranks = ranks_path(path)
    ranks.write_bytes(ranks.read_bytes()[:-9])
    (path.parent / "notes.txt").write_text("rates")
    found = set(fields_of(check_submission(checkout.root)))
    assert {("trial-sft-1-100.json", "ranks"), ("notes.txt", "")} <= found


HOSTILE: dict[str, Callable[[Path], object]] = {
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe"),
    "deep nesting": lambda path: path.write_text("[" * 100_000),
    "a terabyte of nothing": lambda path: os.truncate(path, 1 << 40),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("sidecar", [Path, reproductions_path])
def test_a_file_that_hurts_its_reader_is_a_finding(checkout: Any, how: str, sidecar: Any) -> None:
    record = checkout.root / "toy" / "gti" / "seed-0.json"
    append_reproduction(record, exact_line(record))
    commit(checkout)
    git(checkout.root, "branch", "-f", "main")
    HOSTILE[how](sidecar(record))
    found = check_submission(checkout.root)
    assert any(Path(each.file).name.startswith("seed-0") for each in found.findings)
    assert found.errors


def test_a_changelog_and_a_name_that_are_no_utf8_are_read(checkout: Any) -> None:
    (checkout.root.parents[1] / "CHANGELOG.md").write_bytes(b"# \xe9\n")
    (checkout.root / "toy" / "gti" / os.fsdecode(b"\xff.json")).write_text("x")
    found = check_submission(checkout.root)
    assert [each.found for each in found.findings] == ["a file of another name"]
