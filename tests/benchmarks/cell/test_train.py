"""Fine-tuning of a cell: what the setting says of alignment tasks reaches the training loop."""

from dataclasses import replace

import pytest

from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.train import finetune, initialize
from gti.train.training import StageReport

TOKEN_MEAN = 'loss_weight = 1.0\npooling = "token_mean"\nevery = 2\n'
TWO_MEANS = 'loss_weight = 1.0\npooling = "two_means"\nevery = 1\n'


@pytest.mark.parametrize(
    ("options", "pooling", "every"),
    [(TOKEN_MEAN, "token_mean", 2), (TWO_MEANS, "two_means", 1)],
    ids=["token mean", "two means"],
)
def test_alignment_tasks_are_pooled_and_gathered_as_the_setting_says(
    write_setting, spec_of, tmp_path, options, pooling, every
):
    path = write_setting(tmp_path)
    text = path.read_text()
    assert TOKEN_MEAN in text
    path.write_text(text.replace(TOKEN_MEAN, options))
    cell = prepare_cell(spec_of(path, "lc_rec"))
    given = {}

    def kept(model, vocabulary, steps, settings, **others):
        given.update(others, steps=steps)
        return StageReport()

    finetune(initialize(replace(cell, forms=replace(cell.forms, finetune=kept))))
    steps = given["steps"]
    assert (given["pooling"], given["auxiliary_weight"]) == (pooling, 1.0)
    assert [bool(step.auxiliary) for step in steps] == [n % every == 0 for n in range(len(steps))]
