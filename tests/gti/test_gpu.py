"""Stages on a GPU in bfloat16, as evidence cells run them, beside the plain forms in float32."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gti.method import GroundingPlan
from gti.plain import plain_finetune, plain_ground, plain_search, plain_target_nll
from gti.search.decoding import beam_search, build_trie
from gti.search.likelihood import target_nll
from gti.train.finetuning import Step, finetune, retrieval_batches, retrieval_examples
from gti.train.grounding import ground, grounding_examples

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
GPU, CPU = torch.device("cuda"), torch.device("cpu")
SETTINGS = SimpleNamespace(
    learning_rate=3e-3,
    batch_size=8,
    schedule="constant",
    warmup_share=0.0,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    clip_norm=1.0,
)


@pytest.fixture(autouse=True)
def _as_in_a_worker(monkeypatch):
    """Deterministic kernels; the variable is read when a GPU first multiplies."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def make(make_bench):
    """A chat model with a tied and padded vocabulary, as SmolLM2's and Qwen3's is."""

    def on(device):
        bench = make_bench("qwen3", "chat")
        bench.model.to(device)
        return bench

    return on


def prompts_of(bench):
    drawn = np.random.default_rng(3)
    return [
        bench.prompter.retrieval_prompt(drawn.integers(0, 40, size))
        for size in drawn.integers(1, 18, 12)
    ]


def grounded(bench, way, dtype):
    """(loss of each step, the new rows, whether all other rows are as they were)."""
    pairs = grounding_examples(bench.prompter, GroundingPlan(), np.random.default_rng(0))
    losses, before = [], bench.embedding.detach().clone()
    way(
        bench.model,
        bench.vocabulary,
        [pairs[start : start + 16] for start in (0, 16, 32)] * 4,
        SETTINGS,
        dtype=dtype,
        progress=lambda done, steps, loss: losses.append(loss),
    )
    new = torch.zeros(len(before), dtype=torch.bool, device=before.device)
    new[bench.vocabulary.new_ids.to(before.device)] = True
    return losses, bench.embedding.detach()[new], torch.equal(bench.embedding[~new], before[~new])


def finetuned(bench, way, dtype):
    """(loss of each step, the embedding matrix)."""
    drawn = np.random.default_rng(5)
    histories = [drawn.integers(0, 40, size) for size in drawn.integers(2, 14, 12)]
    examples = retrieval_examples(bench.prompter, histories, 5, np.random.default_rng(0))
    losses = []
    way(
        bench.model,
        bench.vocabulary,
        [Step(each, []) for each in retrieval_batches(examples, 8, 2.0, np.random.default_rng(1))],
        SETTINGS,
        seed=0,
        dtype=dtype,
        progress=lambda done, steps, loss: losses.append(loss),
    )
    return losses, bench.embedding.detach()


@pytest.mark.parametrize(
    ("stage", "fast", "plain"),
    [(grounded, ground, plain_ground), (finetuned, finetune, plain_finetune)],
)
def test_training_goes_as_in_float32_and_again_to_the_same_bits(make, stage, fast, plain):
    losses, rows, *kept = stage(make(GPU), fast, "bfloat16")
    again, same, *_ = stage(make(GPU), fast, "bfloat16")
    assert again == losses
    assert torch.equal(rows, same)
    assert all(kept)
    exact, *_ = stage(make(CPU), plain, "float32")
    assert len(losses) == len(exact) > 6
    np.testing.assert_allclose(losses, exact, rtol=0.03)
    assert sum(losses[-3:]) < sum(losses[:3])


def test_the_beam_finds_what_it_finds_in_float32_on_a_cpu(make):
    ours, theirs = make(GPU), make(CPU)
    tries = {d: build_trie(ours.sids, ours.vocabulary, d) for d in (GPU, CPU)}
    prompts = prompts_of(ours)
    expected = plain_search(theirs.model, tries[CPU], prompts, 20)
    exact = beam_search(ours.model, tries[GPU], prompts, 20)
    np.testing.assert_allclose(exact.scores, expected.scores, atol=1e-3)
    rounded = beam_search(ours.model, tries[GPU], prompts, 20, dtype="bfloat16")
    again = beam_search(ours.model, tries[GPU], prompts, 20, dtype="bfloat16")
    assert np.array_equal(rounded.leaves, again.leaves)
    assert np.array_equal(rounded.scores, again.scores)
    pairs = zip(rounded.leaves[:, :10], expected.leaves[:, :10], strict=True)
    assert np.mean([np.isin(one, other).mean() for one, other in pairs]) >= 0.8


def test_targets_have_the_nll_that_they_have_in_float32_on_a_cpu(make):
    ours, theirs = make(GPU), make(CPU)
    prompts = prompts_of(ours)
    targets = [np.array([n, 2 * n]) for n in range(len(prompts))]
    found, close = {}, {"rtol": 0.03, "atol": 0.03}
    for bench, device, way, dtype in (
        (ours, GPU, target_nll, "bfloat16"),
        (theirs, CPU, plain_target_nll, "float32"),
    ):
        trie = build_trie(bench.sids, bench.vocabulary, device)
        found[dtype] = way(bench.model, trie, prompts, targets, dtype=dtype)
    np.testing.assert_allclose(found["bfloat16"].nll, found["float32"].nll, **close)
    np.testing.assert_allclose(found["bfloat16"].trie_nll, found["float32"].trie_nll, **close)
