"""Packed rows against one prompt at a time, and the models that cannot have them."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gti.model.flops import ModelShape
from gti.model.head import head_loss
from gti.prompts.alignment import alignment_stream
from gti.prompts.prompter import Example, PromptError
from gti.train.batches import MicroBatcher, answer_states, plain_batches
from gti.train.finetuning import Step, add_lora, finetune, retrieval_batches, retrieval_examples
from gti.train.shared_histories import (
    Bundle,
    bundled_batches,
    bundles,
    collate_bundles,
    why_not_packed,
)
from gti.train.training import hidden_states

SETTINGS = SimpleNamespace(
    learning_rate=0.01,
    batch_size=12,
    schedule="linear",
    warmup_share=0.0,
    weight_decay=0.02,
    betas=(0.9, 0.95),
    clip_norm=1.0,
)
CPU = torch.device("cpu")


def histories():
    """Two items, one block, and two that slide; items 3 and 7 share their Semantic ID."""
    drawn = np.random.default_rng(5)
    return [np.array([3, 7]), np.array([7, 3, 3, 7, 7]), *drawn.integers(0, 40, size=(2, 11))]


def chat_examples(bench, max_history=6):
    bench.prompter.max_history = max_history
    return retrieval_examples(bench.prompter, histories(), 0, np.random.default_rng(0))


def auxiliary(bench, count):
    mixture = {"item2index": 1.0, "fusionseqrec": 1.0, "index2item": 1.0}
    stream = alignment_stream(
        bench.prompter, histories(), mixture, np.random.default_rng(2), np.random.default_rng(3)
    )
    return list(islice(stream, count))


def steps_of(bench, passes=2.0):
    batches = retrieval_batches(chat_examples(bench), 12, passes, np.random.default_rng(1))
    return [Step(batch, auxiliary(bench, 3)) for batch in batches]


def gradients(model):
    return [p.grad.clone() for p in model.parameters()]


def one_at_a_time(model, parts):
    """Loss per part and gradient, each prompt alone through the library's own forward pass."""
    model.zero_grad()
    losses = []
    for examples, weight in parts:
        count = sum(len(e.targets) for e in examples)
        total = 0.0
        for example in examples:
            ids = torch.from_numpy(example.ids)[None]
            places = torch.from_numpy(example.targets)
            found = model(input_ids=ids).logits[0].log_softmax(-1)[places - 1, ids[0, places]]
            (-weight * found.sum() / count).backward()
            total -= float(found.sum().detach()) / count
        losses.append(total)
    return losses, gradients(model)


def summed_loss(model):
    matrix = model.get_output_embeddings().weight

    def loss_of(batch):
        hidden = hidden_states(model, input_ids=batch.ids, **batch.layout)
        return head_loss(answer_states(hidden, batch), matrix, batch.labels)

    return loss_of


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
@pytest.mark.parametrize("max_tokens", [4096, 300, 20])
def test_loss_and_gradient_are_those_of_each_prompt_alone(make_bench, exact, kind, max_tokens):
    bench = make_bench(kind, "chat")
    model = exact(bench.model)
    parts = [(chat_examples(bench), 1.0), (auxiliary(bench, 5), 0.3)]
    expected, theirs = one_at_a_time(model, parts)
    model.zero_grad()
    runner = MicroBatcher(max_tokens, CPU, bundled_batches)
    found = runner.backward(parts, summed_loss(model), model.zero_grad)
    assert found == pytest.approx(expected, rel=1e-12)
    assert runner.shared or max_tokens < 300
    for ours, plain in zip(gradients(model), theirs, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("adapters", [False, True])
def test_training_goes_the_same_way_with_shared_beginnings_and_without(make_bench, exact, adapters):
    reports, weights = [], []
    for share in (True, False):
        bench = make_bench("qwen3", "chat")
        model = exact(bench.model)
        if adapters:
            torch.manual_seed(0)
            model = add_lora(model, 2, 4.0, 0.0, ["q_proj", "v_proj"]).double()
        found = finetune(
            model,
            bench.vocabulary,
            steps_of(bench),
            SETTINGS,
            seed=0,
            auxiliary_weight=0.5,
            max_tokens=700,
            share_prefixes=share,
        )
        reports.append(found)
        weights.append(dict(model.named_parameters()))
    fast, plain = reports
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=1e-8, atol=1e-10, msg=name)
    assert (fast.unshared, plain.unshared) == (None, "switched off")
    assert (fast.steps, fast.tokens, fast.nominal_flops) == (
        plain.steps,
        plain.tokens,
        plain.nominal_flops,
    )
    assert fast.actual_flops < 0.8 * plain.actual_flops


tokens = st.lists(st.integers(1, 3), min_size=2, max_size=9)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(tokens, min_size=1, max_size=5), min_size=1, max_size=3))
def test_any_sequences_keep_their_states(make_bench, exact, rows):
    """Also those that are alike, begin others, or have targets in what they share."""
    model = exact(make_bench("tied").model)
    packed = [
        Bundle.of([Example(np.array(ids), np.arange(1, len(ids)), "any", row) for ids in block])
        for row, block in enumerate(rows)
    ]
    batch = collate_bundles(packed, CPU)
    with torch.no_grad():
        found = answer_states(hidden_states(model, input_ids=batch.ids, **batch.layout), batch)
        alone = [
            hidden_states(model, input_ids=torch.from_numpy(example.ids)[None])[0, :-1]
            for bundle in packed
            for example in bundle.examples
        ]
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-11, atol=1e-12)
    labels = [example.ids[1:] for bundle in packed for example in bundle.examples]
    assert batch.labels.tolist() == np.concatenate(labels).tolist()


def test_flops_spent_are_those_of_the_tokens_and_pairs_in_the_rows(make_bench):
    bench = make_bench("qwen3", "chat")
    shape = ModelShape.of(bench.model)
    packed = bundles(chat_examples(bench), 4096)
    examples = [example for bundle in packed for example in bundle.examples]
    batch = collate_bundles(packed, CPU)
    real = torch.arange(batch.ids.shape[1]) < torch.tensor(batch.lengths)[:, None]
    pairs = int(batch.layout["attention_mask"][:, 0][real].sum())
    expected = 3 * (
        2 * shape.body * sum(batch.lengths)
        + 4 * shape.layers * shape.attention_width * pairs
        + 2 * shape.matrix_rows * shape.width * batch.num_targets
    )
    whole = shape.spent_flops([len(e) for e in examples], batch.num_targets, "all")
    assert whole - shape.spent_flops(batch.shared, 0, "all") == pytest.approx(expected)


def test_a_block_that_does_not_fit_is_cut_and_nothing_is_lost(make_bench):
    bench = make_bench("qwen3", "chat")
    examples = chat_examples(bench, max_history=10)
    longest = max(map(len, examples))
    for bound in (10_000, 2 * longest, longest, 1):
        found = bundles(examples, bound)
        assert sorted(id(e) for bundle in found for e in bundle.examples) == sorted(
            map(id, examples)
        )
        assert all(len(bundle) <= bound or len(bundle.examples) == 1 for bundle in found)
        assert all(len({e.block for e in bundle.examples}) == 1 for bundle in found)
    assert len(bundles(examples, 10_000)) == len({e.block for e in examples})
    assert len(bundles(examples, 1)) == len(examples)


def test_examples_of_no_block_are_batched_as_ever(make_bench):
    bench = make_bench("qwen3", "chat")
    examples = auxiliary(bench, 9)
    ours = list(bundled_batches(examples, 300, CPU))
    plain = list(plain_batches(examples, 300, CPU))
    assert [batch.ids.tolist() for batch in ours] == [batch.ids.tolist() for batch in plain]
    assert all(not batch.layout for batch in ours)


def test_out_of_memory_cuts_the_packs_and_keeps_the_gradient(make_bench, exact):
    bench = make_bench("qwen3", "chat")
    model = exact(bench.model)
    examples = chat_examples(bench)
    loss_of = summed_loss(model)

    def scarce(batch):
        if batch.ids.numel() > 250:
            raise torch.OutOfMemoryError("no memory left")
        return loss_of(batch)

    expected, theirs = one_at_a_time(model, [(examples, 1.0)])
    model.zero_grad()
    runner = MicroBatcher(4096, CPU, bundled_batches)
    found = runner.backward([(examples, 1.0)], scarce, model.zero_grad)
    assert runner.halved
    assert found == pytest.approx(expected)
    left = [bundle.shared[1:] for bundle in bundles(examples, runner.max_tokens)]
    assert sorted(runner.shared) == sorted(n for shared in left for n in shared)
    for ours, plain in zip(gradients(model), theirs, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-13)


def test_a_prompt_longer_than_the_context_is_refused(make_bench):
    bench = make_bench("qwen3", "chat")
    bench.prompter.context = 100
    with pytest.raises(PromptError, match="lower max_history"):
        chat_examples(bench)


def heedless(model):
    """Attention that adds the mask instead of hiding what it says: no error, other states."""
    model.config._attn_implementation = "eager"


def refusing(model):
    """A model without explicit positions."""
    inner = model.base_model.forward

    def forward(input_ids, use_cache=None):
        return inner(input_ids=input_ids, use_cache=use_cache)

    model.base_model.forward = forward


def sliding(model):
    model.config.sliding_window = 8


def mixed(model):
    model.config.layer_types = ["full_attention", "linear_attention"]


def stretching(model):
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    model.config.max_position_embeddings = 8


def dropping(model):
    model.config.attention_dropout = 0.1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (heedless, "heeds no mask"),
        (refusing, "refuses a mask"),
        (sliding, "sliding window"),
        (mixed, "linear_attention"),
        (stretching, "dynamic rotary"),
        (dropping, "dropout"),
    ],
)
def test_a_model_that_cannot_share_is_given_one_prompt_per_row(make_bench, spoil, reason):
    bench = make_bench("tied", "chat")
    assert why_not_packed(bench.model, 512) is None
    spoil(bench.model)
    assert reason in why_not_packed(bench.model, 512)
    report = finetune(bench.model, bench.vocabulary, steps_of(bench)[:1], SETTINGS, seed=0)
    assert reason in report.unshared
    assert report.steps == 1


def test_adapters_that_drop_are_given_one_prompt_per_row(make_bench):
    bench = make_bench("tied", "chat")
    assert why_not_packed(add_lora(bench.model, 2, 4.0, 0.1, ["q_proj"]), 9) == "dropout"
