"""NLL of examples' answers beside the library's own loss, one example at a time."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from gti.method import GroundingPlan
from gti.plain import plain_example_nll
from gti.train import example_nll as module
from gti.train.example_nll import example_nll
from gti.train.grounding import coded_items, derangement, grounding_examples
from gti.train.training import TrainingError

KINDS = ["tied", "untied", "qwen3"]


def examples_of(bench):
    found = grounding_examples(bench.prompter, GroundingPlan(), np.random.default_rng(0))
    drawn = np.random.default_rng(1).choice(len(found), 23, replace=False)
    return [found[index] for index in drawn]


def by_library(model, example):
    ids, places = torch.from_numpy(example.ids)[None], torch.from_numpy(example.targets)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0].double()
    return float(cross_entropy(logits[places - 1], ids[0, places], reduction="sum"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [example_nll, plain_example_nll])
def test_each_answer_has_the_loss_that_the_library_gives_it(make_bench, kind, form):
    bench = make_bench(kind, "chat" if kind == "qwen3" else "sequence")
    examples = examples_of(bench)
    summed, tokens = form(bench.model, examples, max_tokens=90)
    expected = [by_library(bench.model, example) for example in examples]
    np.testing.assert_allclose(summed, expected, rtol=1e-5)
    assert tokens.tolist() == [len(example.targets) for example in examples]


def test_in_float64_how_examples_are_put_together_makes_no_difference(make_bench, exact):
    bench = make_bench()
    model, examples = exact(bench.model), examples_of(bench)
    alone, _ = example_nll(model, examples, max_tokens=1)
    together, _ = example_nll(model, examples[::-1], max_tokens=10_000)
    np.testing.assert_allclose(alone, together[::-1], rtol=1e-12)
    assert [len(part) for part in example_nll(model, [])] == [0, 0]


def test_where_memory_runs_out_batches_get_smaller_and_values_stay(make_bench, exact, monkeypatch):
    bench = make_bench()
    model, examples, plain = exact(bench.model), examples_of(bench), module.collate
    expected, _ = example_nll(model, examples)

    def scarce(some, device, most=3):
        if len(some) > most:
            raise torch.OutOfMemoryError("no more")
        return plain(some, device)

    monkeypatch.setattr(module, "collate", scarce)
    found, _ = example_nll(model, examples)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    monkeypatch.setattr(module, "collate", lambda some, device: scarce(some, device, 0))
    with pytest.raises(TrainingError, match="with one example of"):
        example_nll(model, examples)


def test_a_shuffled_plan_shows_the_derangement_of_its_own_stream():
    items = np.array([2, 5, 7, 11, 13])
    for plan in (GroundingPlan(), GroundingPlan(on="codes")):
        assert coded_items(plan, items, np.random.default_rng(4)) is items
    shown = coded_items(GroundingPlan(shuffled=True), items, np.random.default_rng(4))
    assert shown.tolist() == items[derangement(5, np.random.default_rng(4))].tolist()
    assert (shown != items).all()
