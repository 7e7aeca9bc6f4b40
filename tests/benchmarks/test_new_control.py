"""A control from outside the tree, one file: checked, drawn and compared like the shipped ones."""

import json
import sys
from dataclasses import asdict

import pytest

from baselines.registry import methods
from leaderboard.board.contrasts import load_contrasts
from leaderboard.records.cells import load_cells
from leaderboard.records.facts import Look
from leaderboard.records.known_methods import looks_of
from leaderboard.records.record import record_digest
from leaderboard.render.contrasts import contrast_lines
from leaderboard.verify.verify import verify

CONTROL = '''"""`gti_text_alone`: grounding of rows that start at random, in one direction."""

import torch

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan


class GtiTextAlone(Gti):
    """Does it matter where grounding starts?"""

    key = "gti_text_alone"
    summary = "gti from random rows, pairs text → SID only"
    source = "a test"
    group = "control"
    first_rows = "drawn"
    question = "Does it matter where grounding starts?"
    contrasts = (Contrast("gti", "gti_text_alone", "the mean to start from, and pairs SID → text"),)

    def initialize(self, start):
        """Rows like those of `random`."""
        return 0.02 * torch.randn(start.num_new, start.width, generator=start.generator)

    def grounding(self):
        """Text → SID alone."""
        return GroundingPlan(sid_to_text=False)
'''
ENTRY = "[gti.methods]\ngti_text_alone = my_controls:GtiTextAlone\n"
KEY = "gti_text_alone"


@pytest.fixture
def results(tmp_path, monkeypatch, write_setting, cell_here):
    """Records of the control and its parent; the control is in an installed package of its own."""
    assert len(CONTROL.splitlines()) < 40
    package = tmp_path / "site"
    about = package / "my_controls-1.0.dist-info"
    about.mkdir(parents=True)
    (package / "my_controls.py").write_text(CONTROL, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my_controls\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY)
    monkeypatch.syspath_prepend(package)
    methods.cache_clear()
    setting = write_setting(tmp_path)
    for key in ("gti", KEY):
        cell_here(setting, key, tmp_path / "results")
    yield tmp_path / "results"
    methods.cache_clear()
    sys.modules.pop("my_controls", None)


def found_in(results, change):
    """The fields that `verify` names once the control's record is forged, digest and all."""
    path = results / "tiny" / KEY / "seed-0.json"
    honest = path.read_text(encoding="utf-8")
    content = json.loads(honest)
    change(content)
    content["digest"] = record_digest(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    named = {finding.field for finding in verify(path)} - {"code.dirty"}
    path.write_text(honest, encoding="utf-8")
    return named


def test_a_new_control_is_checked_drawn_and_set_beside_its_parent(results):
    assert [each for each in verify(results) if each.field != "code.dirty"] == []
    forged = {
        "manifest.identical_rows": lambda c: c["manifest"].update(identical_rows=True),
        "proofs (stages)": lambda c: c["proofs"][0].update(stage="grounding_free"),
        "tasks.sid_to_title": lambda c: c["tasks"].update(sid_to_title=1),
    }
    for field, change in forged.items():
        assert field in found_in(results, change)

    cells, _ = load_cells([results], "tiny")
    looks = looks_of([cell.record.method for cell in cells])
    assert looks["gti"] == Look(**asdict(methods()["gti"].look))
    assert looks[KEY] != looks["gti"]

    found, _ = load_contrasts([[results]], "tiny")
    (answer,) = found.answers
    assert (answer.contrast.a, answer.contrast.b) == ("gti", KEY)
    (line,) = (line for line in contrast_lines(found) if f"gti − {KEY}" in line)
    assert line.startswith("Does it matter where grounding starts?")
