"""The settings and methods that `verify` and `check-results` hold records against."""

import json
import shutil

import pytest

from benchmarks.cli import shipped as module
from benchmarks.cli.app import exit_code
from benchmarks.cli.shipped import shipped
from benchmarks.inputs.catalogue import find_setting, setting_names
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.perf.honest_records.edits import edit

NANO = "ml-100k-nano"


@pytest.fixture
def forgotten():
    """Nothing is known from before, and nothing is kept."""
    module._card.cache_clear()
    yield
    module._card.cache_clear()


def test_cards_are_those_of_the_committed_records():
    for path in sorted((COMMITTED_RESULTS / NANO).glob("*/seed-0.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        card = shipped().card(NANO, content["method"]["key"])
        # Cards of this schema's first records hold no facts, and no hash covers them.
        assert card.model_dump(mode="json", exclude={"facts"}) == content["method"]
        assert card.hash == content["method_hash"]


def test_all_settings_are_known_by_their_hash_and_own_methods_are_not():
    assert set(shipped().settings) == set(setting_names())
    assert shipped().settings[NANO] == find_setting(NANO).setting.hash
    assert shipped().card(NANO, "my_own") is None
    assert shipped().card(NANO, "recbole-mine") is None
    assert shipped().card(NANO, "bm25") is None  # of the other track
    assert shipped().card("ml-100k-search-nano", "bm25").key == "bm25"


def test_without_torch_methods_are_unknown(monkeypatch, forgotten):
    def missing(setting, key):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(module, "_reference", missing)
    assert shipped().card(NANO, "gti") is None


def test_the_command_names_what_is_not_as_shipped(tmp_path, capsys):
    results = tmp_path / "results"
    shutil.copytree(COMMITTED_RESULTS / "inputs", results / "inputs")
    for key in ("mean", "popularity"):
        shutil.copytree(COMMITTED_RESULTS / NANO / key, results / NANO / key)
    path = results / NANO / "popularity" / "seed-0.json"
    edit(path, lambda content: content["method"].update(source="elsewhere"))
    assert exit_code(["verify", str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"warning: {path}, method.source: found elsewhere, expected ")
    assert lines[1].endswith("0 errors, 1 warnings")
