"""The slow reference beside the fast forms: the same steps, rows, lists and masses."""

from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch

from gti.method import GroundingPlan, TrainsOn
from gti.model.flops import ModelShape
from gti.plain import (
    plain_exact_search,
    plain_finetune,
    plain_ground,
    plain_loss,
    plain_search,
)
from gti.search.decoding import beam_search, build_trie
from gti.search.exact_scoring import exact_search
from gti.train.batches import collate
from gti.train.finetuning import Step, answer_loss, finetune, retrieval_batches, retrieval_examples
from gti.train.grounding import ground, grounding_examples
from gti.train.training import AdamWSettings

KINDS = ["tied", "untied", "qwen3"]
SETTINGS = AdamWSettings(learning_rate=0.02, batch_size=6)


def pairs_of(bench, steps=6, size=6, on="texts"):
    histories = np.random.default_rng(2).integers(0, 40, size=(8, 9))
    retrieval = retrieval_examples(bench.prompter, histories, 4, np.random.default_rng(0))
    plan, shuffle = GroundingPlan(on=on), np.random.default_rng(0)
    examples = grounding_examples(bench.prompter, plan, shuffle, retrieval=retrieval)
    drawn = np.random.default_rng(1).choice(len(examples), (steps, size))
    return [[examples[index] for index in step] for step in drawn]


def questions(bench, steps=5):
    rng = np.random.default_rng(5)
    histories = [rng.integers(0, 40, size=rng.integers(2, 9)) for _ in range(8)]
    examples = retrieval_examples(bench.prompter, histories, 5, np.random.default_rng(0))
    batches = retrieval_batches(examples, 4, 3.0, np.random.default_rng(1))[:steps]
    return [Step(batch, []) for batch in batches]


def assert_same_beams(fast, plain):
    assert np.array_equal(fast.leaves, plain.leaves)
    np.testing.assert_allclose(fast.scores, plain.scores, atol=2e-4)
    np.testing.assert_allclose(fast.trie_mass, plain.trie_mass, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fast", [beam_search, exact_search])
def test_searches_find_the_same_lists(make_bench, kind, fast):
    bench = make_bench(kind, "chat" if kind == "qwen3" else "sequence")
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    rng = np.random.default_rng(3)
    prompts = [bench.prompter.retrieval_prompt(rng.integers(0, 40, n)) for n in (3, 1, 3)]
    plain = plain_search if fast is beam_search else plain_exact_search
    for beam in (4, 64):  # 64: more than there are leaves
        assert_same_beams(
            fast(bench.model, trie, prompts, beam), plain(bench.model, trie, prompts, beam)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_the_same(make_bench, kind):
    bench = make_bench(kind)
    bench.model.double().requires_grad_(True)
    batch = collate(pairs_of(bench)[0], torch.device("cpu"))
    found = []
    for loss_of in (answer_loss, plain_loss):
        bench.model.zero_grad(set_to_none=True)
        loss = loss_of(bench.model, batch)
        loss.backward()
        found.append([loss.detach(), *(p.grad.clone() for p in bench.model.parameters())])
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("on", get_args(TrainsOn))
@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_grounding_takes_the_same_steps(make_bench, kind, on, monkeypatch):
    fast, plain = make_bench(kind), make_bench(kind)
    # Rows are handled in float32 in real runs; equality is claimed in float64.
    monkeypatch.setattr(
        "gti.train.grounding.read_rows", lambda matrix, ids: matrix.detach()[ids].clone()
    )
    reports, before = [], plain.embedding.detach().double().clone()
    for bench, way in ((fast, ground), (plain, plain_ground)):
        bench.model.double()
        reports.append(way(bench.model, bench.vocabulary, pairs_of(bench, on=on), SETTINGS))
    torch.testing.assert_close(fast.embedding, plain.embedding, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(fast.head, plain.head, rtol=1e-9, atol=1e-10)
    text = plain.vocabulary.text_ids
    assert torch.equal(plain.embedding.detach()[text], before[text])
    same = ("steps", "tokens", "nominal_flops", "trainable_parameters", "new_rows_with_gradient")
    assert [getattr(reports[0], name) for name in same] == [
        getattr(reports[1], name) for name in same
    ]
    assert reports[1].actual_flops == reports[1].nominal_flops
    # Imitating states has no head to save, and its prompts are not cut.
    assert (reports[0].actual_flops < reports[1].nominal_flops) == (on != "states")
    assert all(p.requires_grad for p in plain.model.parameters())


def test_plain_grounding_refuses_the_decay_that_would_move_text_rows(make_bench):
    bench = make_bench()
    settings = SimpleNamespace(**{**vars(SETTINGS), "weight_decay": 0.1})
    with pytest.raises(ValueError, match=r"weight_decay = 0, found 0\.1"):
        plain_ground(bench.model, bench.vocabulary, pairs_of(bench), settings)


@pytest.mark.parametrize("pooling", ["two_means", "token_mean"])
@pytest.mark.parametrize("kind", ["tied", "qwen3"])
def test_fine_tuning_ends_at_the_same_weights(make_bench, kind, pooling):
    style = "chat" if kind == "qwen3" else "sequence"
    fast, plain = make_bench(kind, style), make_bench(kind, style)
    steps = [
        Step(step.retrieval, pairs if number % 2 else [])
        for number, (step, pairs) in enumerate(zip(questions(fast), pairs_of(fast), strict=False))
    ]
    reports = []
    for bench, way in ((fast, finetune), (plain, plain_finetune)):
        bench.model.double()
        reports.append(way(bench.model, bench.vocabulary, steps, SETTINGS, seed=0, pooling=pooling))
    for ours, theirs in zip(fast.model.parameters(), plain.model.parameters(), strict=True):
        # Adam divides by the gradient's size: rounding in an entry near zero grows.
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    lengths = [[len(e.ids) for e in step.retrieval + step.auxiliary] for step in steps]
    shape = ModelShape.of(plain.model)
    assert reports[1].actual_flops == sum(shape.flops(each) for each in lengths)
    assert reports[1].actual_flops > reports[0].actual_flops
