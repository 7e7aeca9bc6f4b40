"""Pairs of text and Semantic ID: made once in a cell, wherever they are needed."""

from dataclasses import replace

import pytest

from benchmarks.cell import prepare, train
from gti.data.streams import numpy_stream
from gti.train.grounding import grounding_examples
from gti.train.training import StageReport


@pytest.mark.parametrize(
    ("method", "made"),
    [("gti", 1), ("gti_two_phase", 1), ("gti_text_to_sid", 2), ("gti_shuffled", 2)],
)
def test_pairs_that_set_the_budget_are_those_that_are_trained_on(
    write_setting, spec_of, tmp_path, monkeypatch, method, made
):
    path = write_setting(tmp_path)
    path.write_text(path.read_text().replace("share_of_sft = 0.5", "grounding_passes = 2.0"))
    plain, calls = grounding_examples, []

    def counted(*given):
        calls.append(plain(*given))
        return calls[-1]

    for module in (prepare, train):
        monkeypatch.setattr(module, "grounding_examples", counted)
    cell = prepare.prepare_cell(spec_of(path, method))
    trained = []

    def kept(model, vocabulary, batches, *others, **options):
        for batch in batches:
            trained.extend(getattr(batch, "retrieval", batch))
        return StageReport()

    forms = replace(cell.forms, ground=kept, finetune=kept)
    train.ground(train.initialize(replace(cell, forms=forms)))
    assert len(calls) == made
    plan, shuffle = cell.spec.method.grounding(), numpy_stream(0, "shuffle")
    expected = plain(cell.prompter, plan, shuffle, cell.shown.items)
    assert {id(example) for example in trained} == {id(example) for example in calls[-1]}
    for ours, theirs in zip(calls[-1], expected, strict=True):
        assert (ours.task, ours.ids.tolist()) == (theirs.task, theirs.ids.tolist())
