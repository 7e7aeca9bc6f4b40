"""Made-up records: `verify` finds nothing in them, whatever is asked for, and effects are there."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.settings import (
    OPTIMIZER,
    POOLED,
    QUERIES,
    USUAL,
    Shape,
    setting_of,
)
from benchmarks.perf.honest_records.sketches import SKETCHES, Sketch
from benchmarks.perf.honest_records.writer import RecordWriter
from gti.data.semantic_ids import SemanticIds
from leaderboard.verify.verify import verify

OTHER = Shape(items=45, levels=3, codes=5, width=6, text_rows=31, shown_rows=2, batches=7)
EVALUATION = {"cutoffs": (3, 10, 30), "wordings": 1, "validation_users": 8, "curve_points": 4}
CHANGES: list[dict[str, Any]] = [
    {},
    {"sft": {**OPTIMIZER, "rates": "own", "passes": 2.5}, "extra": {"share_of_sft": 0.6}},
    {
        "sft": {**OPTIMIZER, "rates": "own", "steps": 33},
        "evaluation": EVALUATION,
        "decoding": {"beam": 30},
    },
    {
        "auxiliary": {
            "mixture": {"item2index": 1.0, "fusionseqrec": 2.0},
            "loss_weight": 1.0,
            **POOLED,
        }
    },
]


@pytest.mark.parametrize("shape", [USUAL, OTHER])
@pytest.mark.parametrize("changes", CHANGES)
def test_verify_finds_nothing_whatever_is_asked_for(
    tmp_path: Path, shape: Shape, changes: dict[str, Any]
) -> None:
    writer = RecordWriter(tmp_path, 70, shape, setting_of(shape, **changes))
    assert verify(writer.board(["hf_default", *SKETCHES], seeds=(0, 3))) == []


def test_queries_are_asked_as_well(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, 30, setting=setting_of(**QUERIES))
    writer.sketches = {**SKETCHES, "bm25": Sketch(reference=True)}
    writer.board(["mean", "gti", "lc_rec", "bm25"])
    assert verify(tmp_path) == []
    record = json.loads((tmp_path / "toy/gti/seed-1.json").read_text())
    assert record["num_users"] == {"test": 30, "validation": 30}
    assert record["slices"]["queries:item"]["rows"] == 15 * 3


def test_a_methods_skill_is_the_share_of_targets_that_it_finds(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, users=4000)
    for skill in (0.3, 0.5):
        found = json.loads(writer.write("mean", skill=skill).read_text())["metrics"]
        for split in ("test", "validation"):  # ± five standard errors
            assert found[split]["recall@20"] == pytest.approx(skill, abs=5 * (0.25 / 4000) ** 0.5)


def test_equal_words_give_equal_records(tmp_path: Path) -> None:
    one, two = (RecordWriter(tmp_path / name).write("gti", 1) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_the_semantic_ids_are_those_of_the_code_that_makes_real_ones(tmp_path: Path) -> None:
    RecordWriter(tmp_path, shape=OTHER).write("mean")
    (path,) = (tmp_path / "inputs").iterdir()
    found = SemanticIds.from_file(path)
    assert path.stem == found.sha256 == OTHER.semantic_ids.sha256
    assert found.used.all()
    with pytest.raises(ValueError, match="5 items cannot use all 6 codes; write more"):
        setting_of(Shape(items=5))
