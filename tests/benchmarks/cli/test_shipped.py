"""The settings and methods that `verify` and `check-results` hold records against."""

import json

import pytest

from baselines.registry import methods
from benchmarks.cell.identity import method_card
from benchmarks.cli import shipped as module
from benchmarks.cli.app import exit_code
from benchmarks.cli.shipped import shipped
from benchmarks.inputs.catalogue import find_setting, setting_names
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.perf.honest_records.edits import edit
from benchmarks.perf.honest_records.settings import Shape
from benchmarks.perf.honest_records.writer import RecordWriter

NANO = "ml-100k-nano"


@pytest.fixture
def forgotten():
    """Nothing is known from before, and nothing is kept."""
    module._card.cache_clear()
    yield
    module._card.cache_clear()


def test_cards_are_those_of_the_committed_records():
    paths = sorted((COMMITTED_RESULTS / NANO).glob("*/seed-0.json"))
    if not paths:
        pytest.skip(f"no records of {NANO} are committed")
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        card = shipped().card(NANO, content["method"]["key"])
        assert card.model_dump(mode="json") == content["method"]
        assert card.hash == content["method_hash"]


def test_cards_are_those_that_cells_are_run_with():
    card, own = shipped().card(NANO, "gti"), methods()["gti"]
    assert card == method_card(own, find_setting(NANO).parameters("gti"))
    assert (card.group, dict(card.spends)) == (own.group, dict(own.spends))
    assert card.facts.stages == ("grounding",)


def test_all_settings_are_known_and_own_methods_are_not():
    assert set(shipped().settings) == set(setting_names())
    assert shipped().settings[NANO] == find_setting(NANO).setting
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
    results, setting = tmp_path / "results", find_setting(NANO).setting
    card = shipped().card(NANO, "popularity")
    words = {name: getattr(card, name) for name in type(card).model_fields}
    path = RecordWriter(results, 900, Shape(items=1682), setting).write("popularity", **words)
    assert exit_code(["verify", str(results)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("0 errors, 0 warnings")
    edit(path, lambda content: content["method"].update(source="elsewhere"))
    assert exit_code(["verify", str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"warning: {path}, method.source: found elsewhere, expected ")
    assert lines[1].endswith("0 errors, 1 warnings")
