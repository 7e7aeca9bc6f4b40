"""Packed prompts that share their beginnings beside one prompt per row."""

from itertools import islice

import numpy as np
import pytest
import torch

from gti.prompts.alignment import alignment_stream
from gti.train.batches import plain_batches
from gti.train.finetuning import Step, answer_loss, finetune, query_examples, retrieval_examples
from gti.train.shared_beginnings import choose_sharing, packed_batches, pieces
from gti.train.training import AdamWSettings

CPU = torch.device("cpu")
HISTORIES = [np.random.default_rng(user).integers(0, 40, 9) for user in range(4)]
MIXTURE = {"item2index": 1.0, "index2item": 1.0}


def rng(seed=0):
    return np.random.default_rng(seed)


def examples_of(bench, what):
    if what == "queries":
        pairs = [(f"{word} hammer {i % 3}", i) for i, word in enumerate(["red", "a red"] * 6)]
        return query_examples(bench.prompter, pairs, rng())
    if what == "histories":
        return retrieval_examples(bench.prompter, HISTORIES, 5, rng())
    stream = alignment_stream(bench.prompter, HISTORIES, MIXTURE, rng(), rng(1))
    return list(islice(stream, 12))


def gradients(model, batches):
    """Summed loss of `batches`, and the gradient of every weight."""
    model.zero_grad()
    total = 0.0
    for batch in batches:
        loss = answer_loss(model, batch)
        loss.backward()
        total += float(loss.detach())
    return total, [weight.grad.clone() for weight in model.parameters()]


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3", "gemma3"])
@pytest.mark.parametrize("what", ["queries", "histories", "alignment"])
@pytest.mark.parametrize("cut", [False, True])
def test_loss_and_gradient_are_those_of_one_prompt_per_row(make_bench, exact, kind, what, cut):
    bench = make_bench(kind, "chat")
    model, examples = exact(bench.model), examples_of(bench, what)
    expected = gradients(model, plain_batches(examples, 10_000, CPU))
    bound = max(map(len, examples)) + 40 if cut else 10_000
    batches = list(packed_batches(examples, bound, CPU, bench.head))
    assert (len(batches) > 1) == cut
    assert any(batch.shared for batch in batches)
    found = gradients(model, batches)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_a_common_lead_is_computed_once_per_micro_batch(make_bench):
    bench = make_bench("qwen3", "chat")
    examples = examples_of(bench, "queries")
    lead = len(np.flatnonzero(np.cumprod(np.ptp([e.ids[:12] for e in examples], axis=0) == 0)))
    (batch,) = packed_batches(examples, 10_000, CPU, bench.head)
    computed = batch.ids.numel()
    assert computed == sum(batch.lengths) == sum(map(len, examples)) - sum(batch.shared)
    assert min(batch.shared) >= lead > 5
    assert len(batch.shared) == len(examples) - 1


def test_pieces_keep_to_the_bound_and_lose_nothing(make_bench):
    bench = make_bench("qwen3", "chat")
    examples = examples_of(bench, "histories")
    cut = list(pieces(examples, 120))
    assert sorted(id(e) for piece, _ in cut for e in piece) == sorted(map(id, examples))
    for piece, shared in cut:
        assert sum(map(len, piece)) - sum(shared) <= 120 or len(piece) == 1
        assert shared[0] == 0
        for before, after, common in zip(piece, piece[1:], shared[1:], strict=False):
            assert (before.ids[:common] == after.ids[:common]).all()
            assert common < len(after)


def test_the_same_prompt_twice_counts_twice(make_bench, exact):
    bench = make_bench("tied", "chat")
    model, examples = exact(bench.model), examples_of(bench, "queries")[:1] * 2
    expected = gradients(model, plain_batches(examples, 10_000, CPU))
    found = gradients(model, packed_batches(examples, 10_000, CPU, bench.head))
    for ours, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_what_drops_activations_shares_nothing(make_bench):
    bench = make_bench("tied", "chat")
    bench.model.config.attention_dropout = 0.1
    _, reason = choose_sharing(bench.model, examples_of(bench, "histories"), True, bench.head)
    assert reason == "dropout"


@pytest.mark.parametrize("what", ["queries", "histories"])
def test_training_on_copies_stays_near_autocast(make_bench, what):
    settings, reports = AdamWSettings(learning_rate=1e-3), {}
    for copies in (True, False):
        bench = make_bench("qwen3", "chat")
        steps = [Step(examples_of(bench, what), [])] * 6
        reports[copies] = finetune(
            bench.model, bench.vocabulary, steps, settings, seed=0, dtype="bfloat16", copies=copies
        )
        assert all(weight.dtype == torch.float32 for weight in bench.model.parameters())
    ours, autocast = reports[True], reports[False]
    assert ours.unshared is None
    assert ours.first_loss == pytest.approx(autocast.first_loss, rel=0.03)
    assert ours.last_loss == pytest.approx(autocast.last_loss, rel=0.03)
    assert ours.last_loss < ours.first_loss
    assert ours.nominal_flops == autocast.nominal_flops
