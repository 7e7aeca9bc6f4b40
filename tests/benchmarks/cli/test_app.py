"""The command line's manners: names, exit codes, and commands that need no run."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("what", ["settings", "methods", "backbones"])
def test_list_prints_text_and_json(gti_bench, tmp_path, what):
    table = gti_bench("list", what, cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    rows = json.loads(gti_bench("list", what, "--json", cwd=tmp_path).stdout)
    assert len(rows) >= 2 or what == "settings"
    for row in rows:
        assert next(iter(row.values())) in table.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "ml-100k-nan"], "did you mean 'ml-100k-nano'"),
        (["run", "ml-100k-nano", "--methods", "gtl"], "did you mean 'gti'"),
        (["run", "ml-100k-nano", "--seeds", "0,x"], "whole numbers"),
        (["run", "ml-100k-nano", "--seeds", "1,1"], "different"),
        (["run", "ml-100k-nano", "--workers", "0"], "at least 1"),
        (["run", "ml-100k-nano", "--shard", "5/4"], "there is no part 5; those of 4 are 1 to 4"),
        (["run", "ml-100k-nano", "--address", "auto"], "--address is for Ray clusters alone"),
        (["run", "ml-100k-nano", "--shared", "there"], "--shared is for Ray clusters alone"),
        (["run", "ml-100k-nano", "--gpus-per-cell", "1"], "--gpus-per-cell is for Ray clusters"),
        (["plan", "no/such/file.toml"], "cannot read setting file"),
        (["list", "metods"], "methods"),
        (["table", "--metric", "recall@ten"], "recall@ten"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_code_2(gti_bench, tmp_path, arguments, message):
    done = gti_bench(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


@pytest.mark.parametrize("width", [80, 100])
def test_methods_are_listed_by_group_within_the_terminals_width(width):
    from benchmarks.cli.listing import list_methods, method_lines

    rows = list_methods()
    text = method_lines(rows, width)
    assert max(map(len, text.splitlines())) <= width
    flowed = " ".join(text.split())
    for row in rows:
        assert f"{row['method']} {row['summary']} {row['source']}" in flowed
    groups = [line for line in text.splitlines() if line.startswith("--methods")]
    assert groups == ["--methods core", "--methods initializations", "--methods controls"]
    assert "arXiv 2311.09049 §3.3; extra budget before and beside SFT" in flowed


@pytest.mark.parametrize("width", [80, 100])
def test_settings_and_backbones_fit_the_terminals_width(width):
    from benchmarks.cli.listing import (
        backbone_lines,
        list_backbones,
        list_settings,
        setting_lines,
    )  # fmt: skip

    for name, rows, lines in (
        ("setting", list_settings(), setting_lines),
        ("backbone", list_backbones(), backbone_lines),
    ):
        text = lines(rows, width)
        assert max(map(len, text.splitlines())) <= width
        flowed = " ".join(text.split())
        for row in rows:
            assert f"{row[name]} {row.get('summary') or row['title']} " in flowed
    flowed = " ".join(setting_lines(list_settings(), width).split())
    assert "ml-100k; nano; sequence prompts; 3 × 64 codes; 3 seeds" in flowed


def test_verify_finds_that_there_is_nothing(gti_bench, tmp_path):
    done = gti_bench("verify", cwd=tmp_path)
    assert done.returncode == 1
    assert "no records" in done.stdout


def test_an_unknown_key_in_a_setting_names_it(write_setting, gti_bench, tmp_path):
    path = write_setting(tmp_path)
    path.write_text(path.read_text().replace("batch_size = 8", "batch_sise = 8"))
    done = gti_bench("plan", path, cwd=tmp_path)
    assert done.returncode == 2
    assert "sft.batch_sise" in done.stderr
    assert "sft.batch_size" in done.stderr


def test_doctor_tells_about_the_machine(gti_bench, tmp_path):
    done = gti_bench("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("processor", "torch", "cache", "ml-100k-nano"):
        assert word in done.stdout


def test_a_reader_that_has_seen_enough_ends_the_command_quietly():
    command = [sys.executable, "-m", "benchmarks.cli.app", "list", "methods"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""
