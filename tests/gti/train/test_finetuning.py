"""Fine-tuning against a plain loop over one sequence at a time."""

import re
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from gti.model.flops import ModelShape
from gti.plain import plain_head_loss
from gti.prompts.alignment import alignment_stream
from gti.prompts.prompter import PromptError
from gti.train.batches import MicroBatcher, answer_states
from gti.train.finetuning import (
    Step,
    add_lora,
    answer_loss,
    beside,
    finetune,
    query_examples,
    retrieval_batches,
    retrieval_examples,
    weighted_parts,
)
from gti.train.training import TrainingError, hidden_states, rate

SETTINGS = SimpleNamespace(
    learning_rate=0.01,
    batch_size=4,
    schedule="linear",
    warmup_share=0.0,
    weight_decay=0.02,
    betas=(0.9, 0.95),
    clip_norm=1.0,
)


def rng():
    return np.random.default_rng(0)


def histories(users=12):
    rng = np.random.default_rng(5)
    return [rng.integers(0, 40, size=rng.integers(1, 14)) for _ in range(users)]


def stream(bench, passes=2.0):
    examples = retrieval_examples(bench.prompter, histories(), 5, np.random.default_rng(0))
    batches = retrieval_batches(examples, 4, passes, np.random.default_rng(1))
    return [Step(batch, []) for batch in batches]


def taken(bench, mixture, count):
    order, wording = np.random.default_rng(2), np.random.default_rng(3)
    stream = alignment_stream(bench.prompter, histories(), mixture, order, wording)
    return list(islice(stream, count))


@pytest.mark.parametrize("kind", ["tied", "untied"])
@pytest.mark.parametrize("style", ["sequence", "chat"])
def test_weights_after_training_equal_a_plain_loops(make_bench, exact, kind, style):
    ours, plain = make_bench(kind, style), make_bench(kind, style)
    exact(ours.model)
    exact(plain.model)
    steps = stream(ours, passes=1.0)
    finetune(ours.model, ours.vocabulary, steps, SETTINGS, seed=0, max_tokens=64)
    decay = [p for p in plain.model.parameters() if p.ndim > 1]
    rest = [p for p in plain.model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}],
        lr=0.01,
        betas=(0.9, 0.95),
    )
    for number, step in enumerate(steps):
        count = sum(len(e.targets) for e in step.retrieval)
        for example in step.retrieval:
            ids = torch.from_numpy(example.ids)[None]
            log_probabilities = plain.model(input_ids=ids).logits[0].log_softmax(-1)
            places = torch.from_numpy(example.targets)
            (-log_probabilities[places - 1, ids[0, places]].sum() / count).backward()
        torch.nn.utils.clip_grad_norm_(plain.model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * rate(SETTINGS, number, len(steps))
        optimizer.step()
        optimizer.zero_grad()
    for (name, a), b in zip(ours.model.named_parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9, msg=name)


def test_windows_hold_every_training_item_once_in_order(make_bench):
    bench = make_bench()
    items = {tuple(codes): i for i, codes in enumerate(bench.prompter.sid_ids.tolist())}
    for history in histories():
        examples = bench.prompter.windows(history, 5)
        tokens = np.concatenate([e.ids[e.targets] for e in examples]).reshape(-1, 3)
        found = [items[tuple(row)] for row in tokens.tolist()]
        twins = {3: 7, 7: 7}
        assert [twins.get(i, i) for i in found] == [twins.get(i, i) for i in history.tolist()]
        assert all(e.num_targets <= 15 for e in examples)
        assert examples[-1].num_targets == 3 * min(5, len(history))


def test_chat_asks_for_every_training_item_but_a_users_first(make_bench):
    bench = make_bench("qwen3", "chat")
    examples = retrieval_examples(bench.prompter, histories(), 5, np.random.default_rng(0))
    assert len(examples) == sum(len(h) - 1 for h in histories())
    prompts = [bench.tokenizer.decode(e.ids[: e.answer_start]) for e in examples]
    texts = {prompt.split("user\n")[1][:20] for prompt in prompts}
    assert len(texts) == 3  # all wordings are drawn
    for example in examples:
        text = bench.tokenizer.decode(example.ids)
        assert text.endswith("<|im_end|>")
        assert "<think>\n\n</think>\n\n<a_" in text.replace("</think>\n\n ", "</think>\n\n")


@pytest.mark.parametrize("length", [2, 5, 6, 7, 11, 12])
def test_long_histories_are_asked_about_in_blocks_of_one_wording(make_bench, length):
    bench = make_bench("qwen3", "chat")
    bench.prompter.max_history = 5
    history = np.arange(length)
    examples = retrieval_examples(bench.prompter, [history], 99, np.random.default_rng(0))
    shown, wordings = [], {}
    for example in examples:
        text = bench.tokenizer.decode(example.ids[: example.answer_start])
        wordings.setdefault(example.block, set()).add(text.split("user\n")[1][:20])
        listed = np.flatnonzero(np.isin(example.ids, bench.prompter.sid_ids[:, 0]))
        shown.append(len(listed) - 1)  # the answer is the last
    codes = [tuple(example.ids[example.targets][:3]) for example in examples]
    assert codes == [tuple(bench.prompter.sid_ids[item]) for item in history[1:]]
    first = (length - 1) % 5 or 5  # targets of the first block; the others are full
    assert shown == [*range(1, first + 1), *[1, 2, 3, 4, 5] * ((length - 1 - first) // 5)]
    assert all(len(drawn) == 1 for drawn in wordings.values())
    assert len(wordings) == -(-(length - 1) // 5)


def test_a_step_has_its_size_and_blocks_stand_together(make_bench):
    bench = make_bench("qwen3", "chat")
    examples = retrieval_examples(bench.prompter, histories(), 5, np.random.default_rng(0))
    batches = retrieval_batches(examples, 8, 2.0, np.random.default_rng(1))
    per_pass = -(-len(examples) // 8)
    assert len(batches) == 2 * per_pass
    passes = [batches[:per_pass], batches[per_pass:]]
    orders = []
    for one in passes:
        assert [len(batch) for batch in one[:-1]] == [8] * (per_pass - 1)
        taken = [example for batch in one for example in batch]
        assert sorted(map(id, taken)) == sorted(map(id, examples))
        orders.append(list(dict.fromkeys(example.block for example in taken)))
        by_block = sorted(taken, key=lambda example: orders[-1].index(example.block))
        assert by_block == taken  # stable: whole blocks, each in its own order
        lengths = [[len(e) for e in taken if e.block == block] for block in orders[-1]]
        assert all(sorted(block) == block for block in lengths)
    assert orders[0] != orders[1]


def test_prompts_in_training_are_those_of_decoding(make_bench):
    bench = make_bench("qwen3", "chat")
    history = histories()[0]
    while len(history) < 2:
        history = np.append(history, 1)
    example = bench.prompter.example("retrieval", int(history[-1]), 0, history[:-1])
    prompt = bench.prompter.retrieval_prompt(history[:-1])
    assert example.ids[: example.answer_start].tolist() == prompt.tolist()


def test_the_retrieval_stream_is_the_same_beside_auxiliary_tasks(make_bench):
    bench = make_bench()
    shape = ModelShape.of(bench.model)
    steps = stream(bench)
    extra = taken(bench, {"item2index": 1.0, "fusionseqrec": 2.0}, 400)
    budget = 0.5 * sum(shape.flops([len(e.ids) for e in s.retrieval], "all") for s in steps)
    left = iter(extra)
    joint = beside([s.retrieval for s in steps], left, shape, budget)
    assert [[e.ids.tolist() for e in s.retrieval] for s in joint] == [
        [e.ids.tolist() for e in s.retrieval] for s in steps
    ]
    spent = [shape.flops([len(e.ids) for e in s.auxiliary], "all") for s in joint]
    largest = max(shape.flops([len(e.ids)], "all") for e in extra)
    used = [e for s in joint for e in s.auxiliary]
    assert [id(e) for e in used] == [id(e) for e in extra[: len(used)]]
    assert next(left) is extra[len(used)]  # no more was taken than the budget pays for
    assert budget <= sum(spent) < budget + largest
    for number in range(1, len(joint) + 1):  # evenly: never ahead or behind by over one example
        assert 0 <= sum(spent[:number]) - budget * number / len(joint) <= largest


@pytest.mark.parametrize("passes", [2.0, 2.4])  # steps that three divides, and that it does not
def test_alignment_tasks_come_together_at_every_third_step_for_the_same_budget(make_bench, passes):
    bench = make_bench()
    shape = ModelShape.of(bench.model)
    batches = [step.retrieval for step in stream(bench, passes)]
    extra = taken(bench, {"item2index": 1.0, "fusionseqrec": 2.0}, 400)
    budget = 0.5 * sum(shape.flops([len(e.ids) for e in batch], "all") for batch in batches)
    joint = beside(batches, iter(extra), shape, budget, every=3)
    assert [step.retrieval for step in joint] == batches
    assert [bool(step.auxiliary) for step in joint] == [n % 3 == 0 for n in range(len(batches))]
    used = [e for step in joint for e in step.auxiliary]
    assert [id(e) for e in used] == [id(e) for e in extra[: len(used)]]
    spent = [shape.flops([len(e.ids) for e in step.auxiliary], "all") for step in joint[::3]]
    largest = max(shape.flops([len(e.ids)], "all") for e in extra)
    assert budget <= sum(spent) < budget + largest
    assert max(spent) - min(spent) <= 2 * largest


def token_mean(model, step, weight):
    """The mean over all answer tokens of the mixed batch, with logits of one example at a time."""
    logits, labels, counts = [], [], []
    for part, count in ((step.retrieval, 1.0), (step.auxiliary, weight)):
        for example in part:
            ids, places = torch.from_numpy(example.ids), torch.from_numpy(example.targets)
            logits.append(model(input_ids=ids[None]).logits[0, places - 1])
            labels.append(ids[places])
            counts.append(torch.full((len(places),), count, dtype=torch.float64))
    each = cross_entropy(torch.cat(logits), torch.cat(labels), reduction="none")
    return (torch.cat(counts) * each).sum() / torch.cat(counts).sum()


@pytest.mark.parametrize("max_tokens", [32, 4096], ids=["many micro-batches", "one micro-batch"])
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_token_mean_trains_on_the_mean_over_the_mixed_batch(make_bench, exact, weight, max_tokens):
    ours, plain = make_bench(), make_bench()
    exact(ours.model)
    exact(plain.model)
    extra = taken(ours, {"item2index": 1.0, "fusionseqrec": 2.0}, 40)
    steps = [
        Step(step.retrieval, extra[5 * number : 5 * number + 5] if number % 2 == 0 else [])
        for number, step in enumerate(stream(ours, passes=1.0))
    ]
    assert len(steps) > 3
    # Unclipped, so that the size of a step's gradient beside another's is seen.
    settings = SimpleNamespace(**{**vars(SETTINGS), "weight_decay": 0.0, "clip_norm": None})
    options = {"auxiliary_weight": weight, "pooling": "token_mean", "max_tokens": max_tokens}
    finetune(ours.model, ours.vocabulary, steps, settings, seed=0, **options)
    optimizer = torch.optim.AdamW(
        plain.model.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.0
    )
    for number, step in enumerate(steps):
        token_mean(plain.model, step, weight).backward()
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * rate(settings, number, len(steps))
        optimizer.step()
        optimizer.zero_grad()
    for (name, a), b in zip(ours.model.named_parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9, msg=name)


def test_a_step_with_nothing_beside_it_has_its_own_mean_for_a_loss(make_bench):
    bench = make_bench()
    step = stream(bench)[0]
    for pooling in ("two_means", "token_mean"):
        assert weighted_parts(step, 0.4, pooling) == [(step.retrieval, 1.0)]


def test_a_token_beside_many_counts_no_more_than_they_do(make_bench):
    bench = make_bench()
    retrieval, auxiliary = stream(bench)[0].retrieval, taken(bench, {"index2item": 1.0}, 1)
    many = sum(len(e.targets) for e in retrieval)
    few = sum(len(e.targets) for e in auxiliary)
    parts = weighted_parts(Step(retrieval, auxiliary), 1.0, "token_mean")
    assert [weight for _, weight in parts] == [many / (many + few), few / (many + few)]
    parts = weighted_parts(Step(retrieval, auxiliary), 0.5, "two_means")
    assert [weight for _, weight in parts] == [1.0, 0.5]


def test_auxiliary_loss_enters_with_its_weight(make_bench):
    one, two = make_bench(), make_bench()
    steps = stream(one, passes=0.4)
    extra = taken(one, {"index2item": 1.0}, 6)
    joint = [Step(s.retrieval, extra) for s in steps]
    finetune(one.model, one.vocabulary, joint, SETTINGS, seed=0, auxiliary_weight=1e-12)
    finetune(two.model, two.vocabulary, steps, SETTINGS, seed=0)
    torch.testing.assert_close(one.embedding, two.embedding, rtol=1e-3, atol=1e-4)
    three = make_bench()
    finetune(three.model, three.vocabulary, joint, SETTINGS, seed=0, auxiliary_weight=1.0)
    assert not torch.allclose(three.embedding, two.embedding, rtol=1e-3, atol=1e-3)


def test_gradient_reaches_all_rows_of_a_tied_matrix_and_the_proof_says_so(make_bench):
    bench = make_bench("tied")
    report = finetune(bench.model, bench.vocabulary, stream(bench), SETTINGS, seed=0)
    assert report.new_rows_with_gradient == bench.sids.num_tokens
    assert report.text_rows_with_gradient == len(bench.vocabulary.text_ids)
    assert report.last_loss < report.first_loss


def test_lora_moves_adapters_and_matrix_only(make_bench):
    bench = make_bench("tied")
    before = {name: p.detach().clone() for name, p in bench.model.named_parameters()}
    model = add_lora(bench.model, 2, 4.0, 0.1, ["q_proj", "v_proj"])
    finetune(model, bench.vocabulary, stream(bench), SETTINGS, seed=0)
    moved = {
        name.replace(".base_layer", "")
        for name, p in model.named_parameters()
        if name.replace(".base_layer", "") in before
        and not torch.equal(p, before[name.replace(".base_layer", "")])
    }
    assert moved == {"model.embed_tokens.weight"}


def test_dropout_is_seeded_per_step_and_leaves_the_global_stream_alone(make_bench):
    outcomes = []
    for draw in (1, 2):
        bench = make_bench("tied")
        torch.manual_seed(0)
        model = add_lora(bench.model, 2, 4.0, 0.5, ["q_proj"])
        torch.manual_seed(draw)
        state = torch.get_rng_state()
        finetune(model, bench.vocabulary, stream(bench), SETTINGS, seed=7)
        assert torch.equal(torch.get_rng_state(), state)
        outcomes.append(bench.embedding.detach().clone())
    assert torch.equal(*outcomes)


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_gradient(make_bench):
    bench = make_bench()
    examples = stream(bench)[0].retrieval

    def plain(batch):
        hidden = hidden_states(bench.model, input_ids=batch.ids)
        return plain_head_loss(answer_states(hidden, batch), bench.head, batch.labels)

    def loss_of(batch):
        if batch.ids.numel() > 70:
            raise torch.OutOfMemoryError("no memory left")
        return plain(batch)

    runner = MicroBatcher(4096, torch.device("cpu"))
    (loss,) = runner.backward([(examples, 1.0)], loss_of, bench.model.zero_grad)
    assert runner.halved
    assert runner.max_tokens <= 70
    gradient = bench.embedding.grad.clone()
    bench.model.zero_grad()

    (expected,) = MicroBatcher(4096, torch.device("cpu")).backward(
        [(examples, 1.0)], plain, bench.model.zero_grad
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient, bench.embedding.grad, rtol=1e-3, atol=1e-5)


def test_a_micro_batch_of_one_that_does_not_fit_is_a_clear_error(make_bench):
    bench = make_bench()

    def loss_of(batch):
        raise torch.OutOfMemoryError("no memory left")

    with pytest.raises(TrainingError, match="micro-batch of one example"):
        MicroBatcher(4096, torch.device("cpu")).backward(
            [(stream(bench)[0].retrieval, 1.0)], loss_of, bench.model.zero_grad
        )


def scarce(limit, error):
    """`answer_loss` where memory holds no micro-batch of more than `limit` padded tokens."""

    def loss(model, batch):
        found = answer_loss(model, batch)  # draws what dropout draws before memory runs out
        if batch.ids.numel() > limit:
            raise error
        return found

    return loss


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
    ids=["accelerator", "processor"],
)
def test_with_dropout_a_halved_run_is_one_with_small_micro_batches_from_the_start(
    make_bench, error
):
    outcomes, reports = [], []
    for options in ({"max_tokens": 2048, "batch_loss": scarce(70, error)}, {"max_tokens": 64}):
        bench = make_bench("tied")
        torch.manual_seed(0)
        model = add_lora(bench.model, 2, 4.0, 0.5, ["q_proj"])
        steps = stream(bench)[:2]
        report = finetune(model, bench.vocabulary, steps, SETTINGS, seed=7, **options)
        outcomes.append(bench.embedding.detach().clone())
        reports.append(report)
    assert torch.equal(*outcomes)
    assert reports[0].last_loss == reports[1].last_loss
    assert [report.smallest_micro_batch for report in reports] == [64, None]  # 2048 / 2⁵


def test_what_is_kept_for_speed_is_given_up_before_one_example_fails(make_bench):
    bench = make_bench()
    examples = stream(bench)[0].retrieval[:3]
    kept = ["constants"]

    def give_up():
        had = bool(kept)
        kept.clear()
        return had

    def loss_of(batch):
        if kept:
            raise torch.OutOfMemoryError("no memory left")
        return answer_loss(bench.model, batch)

    runner = MicroBatcher(4096, torch.device("cpu"), give_up=give_up)
    (loss,) = runner.backward([(examples, 1.0)], loss_of, bench.model.zero_grad)
    longest = max(len(example) for example in examples)
    assert runner.max_tokens == longest
    assert not kept
    bench.model.zero_grad()
    (expected,) = MicroBatcher(longest, torch.device("cpu")).backward(
        [(examples, 1.0)], lambda batch: answer_loss(bench.model, batch), bench.model.zero_grad
    )
    assert loss == expected
    kept.append("of a second time")
    with pytest.raises(TrainingError, match="micro-batch of one example"):
        MicroBatcher(longest, torch.device("cpu"), give_up=lambda: False).backward(
            [(examples, 1.0)], loss_of, bench.model.zero_grad
        )


def test_training_prompts_that_do_not_fit_are_refused_by_whose_they_are(make_bench):
    bench = make_bench("qwen3", "chat")
    names = [f"user 'u{number}'" for number in range(12)]
    longest = max(map(len, retrieval_examples(bench.prompter, histories(), 5, rng(), names)))
    bench.prompter.context = longest - 1
    bench.prompter.item_ids = [f"i{number}" for number in range(40)]
    with pytest.raises(PromptError) as caught:
        retrieval_examples(bench.prompter, histories(), 5, rng(), names)
    number, item = re.match(r"user 'u(\d+)', item 'i(\d+)' in task", str(caught.value)).groups()
    assert int(item) == histories()[int(number)][-1]
    assert len(histories()[int(number)]) == max(map(len, histories()))
    pairs, keys = [("red", 3), ("red garden " * 10, 5)], ["query 'item/3/0'", "query 'item/5/1'"]
    shorter, longer = (len(e) for e in query_examples(bench.prompter, pairs, rng(), keys))
    bench.prompter.context = longer - 1
    assert shorter < longer
    with pytest.raises(PromptError, match=r"^query 'item/5/1', query 'red garden"):
        query_examples(bench.prompter, pairs, rng(), keys)
