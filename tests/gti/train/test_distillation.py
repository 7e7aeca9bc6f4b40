"""Imitating states against each prompt read alone, through transformers only."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gti.method import GroundingPlan
from gti.model.flops import ModelShape
from gti.train.example_flops import nominal_flops
from gti.train.grounding import ground, grounding_examples
from gti.train.order import take_budget

SETTINGS = SimpleNamespace(
    learning_rate=0.05,
    batch_size=8,
    schedule="constant",
    warmup_share=0.0,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    clip_norm=1.0,
)


def examples_of(bench):
    plan = GroundingPlan(text_to_sid=False, on="states")
    return grounding_examples(bench.prompter, plan, np.random.default_rng(0))


def lacking(bench, examples):
    """Mean squared distance between the states behind code and behind title, target by target."""
    found = []
    for example in examples:
        with torch.no_grad():
            own, taught = (
                bench.model.base_model(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0]
                for ids in (example.ids, example.teacher)
            )
        for place in range(example.num_targets):  # from the end
            difference = own[-2 - place] - taught[-2 - place]
            found.append(float(difference.double().square().mean()))
    return float(np.mean(found))


@pytest.mark.parametrize("style", ["sequence", "chat"])
def test_the_teacher_reads_the_title_in_the_place_of_the_codes(make_bench, style):
    bench = make_bench("qwen3", style)
    examples, new = examples_of(bench), set(bench.vocabulary.new_ids.tolist())
    assert len(examples) == 3 * bench.sids.num_items  # title, description, both
    for item in (0, 7):
        for example in examples[3 * item : 3 * item + 3]:
            codes = bench.prompter.sid_ids[item].tolist()
            assert [token for token in example.ids.tolist() if token in new] == codes
            assert not new & set(example.teacher.tolist())
            answer = example.ids[example.answer_start :]
            assert example.teacher[-len(answer) :].tolist() == answer.tolist()
            prompt = bench.tokenizer.decode(example.teacher[: -len(answer)])
            shown = bench.tokenizer.decode(example.ids[: example.answer_start])
            title = bench.prompter.titles[item]
            assert prompt.replace(title, "") == shown.replace(bench.prompter.sid_text(item), "")
            assert title in prompt


@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_the_states_come_nearer_and_nothing_but_new_rows_moves(make_bench, kind):
    bench = make_bench(kind, "chat")
    examples = examples_of(bench)[:24]
    before = lacking(bench, examples)
    weights = {name: value.clone() for name, value in bench.model.state_dict().items()}
    report = ground(bench.model, bench.vocabulary, [examples] * 40, SETTINGS)
    assert report.first_loss == pytest.approx(before, rel=1e-4)
    assert lacking(bench, examples) < 0.7 * before
    text = bench.vocabulary.text_ids
    for name, value in bench.model.state_dict().items():
        if "embed_tokens" in name or (kind == "tied" and "lm_head" in name):
            assert torch.equal(value[text], weights[name][text])
            assert not torch.equal(value, weights[name])
        else:  # an untied head too: nothing asks for a code
            assert torch.equal(value, weights[name])


def test_the_teacher_is_paid_for_and_no_head_is(make_bench):
    bench = make_bench("tied", "chat")
    examples, shape = examples_of(bench), ModelShape.of(bench.model)

    def by_hand(example):
        """Body twice and attention three times for the student, once each for the teacher."""
        own, teacher = len(example.ids), len(example.teacher)
        attention = 4 * shape.layers * shape.attention_width
        return 2 * shape.body * (2 * own + teacher) + attention * (
            3 * own * (own + 1) / 2 + teacher * (teacher + 1) / 2
        )

    assert nominal_flops(shape, examples, "rows") == sum(map(by_hand, examples))
    budget = 100.5 * by_hand(examples[0])
    taken = take_budget(examples, 8, np.random.default_rng(0), shape, "rows", budget)
    costs = [by_hand(example) for batch in taken for example in batch]
    assert sum(costs) >= budget > sum(costs[:-1])
    report = ground(bench.model, bench.vocabulary, taken[:3], SETTINGS)
    assert report.nominal_flops == report.actual_flops == sum(costs[:24])
