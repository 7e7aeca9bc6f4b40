"""A stage that is stopped and goes on ends with the very bits of one that was not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gti.method import GroundingPlan
from gti.plain import plain_ground
from gti.train.batches import is_out_of_memory
from gti.train.finetuning import Step, add_lora, finetune, retrieval_batches, retrieval_examples
from gti.train.grounding import ground, grounding_examples
from gti.train.resuming import Kept

SETTINGS = SimpleNamespace(
    learning_rate=0.01,
    batch_size=4,
    schedule="cosine",
    warmup_share=0.2,
    weight_decay=0.0,
    betas=(0.9, 0.95),
    clip_norm=1.0,
)


class StoppedError(Exception):
    """Ends a stage between two steps."""


class Memory:
    """Keeps a stage's state after `step` and stops it there, or goes on from `kept`."""

    def __init__(self, step=None, kept=None):
        self.step, self.kept, self.steps = step, kept, 0

    def begin(self, state):
        self.state = state
        return self.kept

    def after_step(self):
        self.steps += 1
        if self.steps == self.step:
            found = self.state()
            copies = {name: tensor.detach().clone() for name, tensor in found.tensors.items()}
            raise StoppedError(Kept(found.numbers, copies))


def stopped_at(step, stage):
    """What `stage`, a function of a keeper, leaves when it is stopped after `step`."""
    with pytest.raises(StoppedError) as caught:
        stage(Memory(step))
    return caught.value.args[0]


def assert_same_weights(one, other):
    pairs = zip(one.named_parameters(), other.named_parameters(), strict=True)
    for (name, a), (_, b) in pairs:
        assert torch.equal(a, b), name


def steps_of(bench):
    rng = np.random.default_rng(5)
    users = [rng.integers(0, 40, size=rng.integers(2, 14)) for _ in range(8)]
    examples = retrieval_examples(bench.prompter, users, 5, np.random.default_rng(0))
    batches = retrieval_batches(examples, 4, 3.0, np.random.default_rng(1))
    return [Step(batch, []) for batch in batches][:7]


@pytest.mark.parametrize("style", ["sequence", "chat"])
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("step", [1, 4])
def test_fine_tuning_goes_on_to_the_same_weights_report_and_curve(make_bench, style, lora, step):
    def stage(keeper, points):
        bench = make_bench("untied", style)
        if lora:  # with dropout, which is drawn per step
            torch.manual_seed(3)
            bench.model = add_lora(bench.model, 2, 4.0, 0.5, ["q_proj"])
        report = finetune(
            bench.model, bench.vocabulary, steps_of(bench), SETTINGS, seed=1, max_tokens=96,
            keeper=keeper, after_step=lambda number, so_far: points.append(
                (number, so_far.last_loss, so_far.nominal_flops)
            ),
        )  # fmt: skip
        return bench.model, report

    points, before, after = [], [], []
    model, report = stage(None, points)
    kept = stopped_at(step, lambda keeper: stage(keeper, before))
    resumed, again = stage(Memory(kept=kept), after)
    assert_same_weights(model, resumed)
    assert report == again
    assert (before, after) == (points[:step], points[step:])
    untouched = finetune_without_moments(stage, kept)
    assert any(not torch.equal(a, b) for a, b in zip(untouched, model.parameters(), strict=True))


def finetune_without_moments(stage, kept):
    """The weights when the optimiser's moments are lost: the tests above can tell."""
    values = {name: t for name, t in kept.tensors.items() if name.startswith("value.")}
    model, _ = stage(Memory(kept=Kept(kept.numbers, values)), [])
    return list(model.parameters())


@pytest.mark.parametrize("form", ["packed", "whole rows", "plain"])
@pytest.mark.parametrize("step", [1, 5])
@pytest.mark.parametrize("room", [0, 6000, None])
def test_grounding_goes_on_to_the_same_rows_and_report(make_bench, monkeypatch, form, step, room):
    if form == "whole rows":
        monkeypatch.setattr("gti.train.grounding.can_pack", lambda *_: False)
    others = {} if form == "plain" else {"prefix_bytes": room}

    def stage(keeper):
        bench = make_bench("untied")
        examples = grounding_examples(bench.prompter, GroundingPlan(), np.random.default_rng(0))
        rng = np.random.default_rng(2)
        chosen = [[examples[i] for i in rng.choice(30, 8)] for _ in range(9)]
        form_of = plain_ground if form == "plain" else ground
        report = form_of(
            bench.model, bench.vocabulary, chosen, SETTINGS, max_tokens=200, keeper=keeper, **others
        )
        return bench.model, report

    model, report = stage(None)
    resumed, again = stage(Memory(kept=stopped_at(step, stage)))
    assert_same_weights(model, resumed)
    assert report == again


def test_what_memory_had_no_room_for_is_not_tried_again(make_bench):
    largest = []

    def stage(keeper):
        bench = make_bench("tied")

        def loss(model, batch):
            largest[-1] = max(largest[-1], batch.ids.numel())
            if batch.ids.numel() > 70:
                error = torch.OutOfMemoryError("no memory left")
                assert is_out_of_memory(error)
                raise error
            return model(input_ids=batch.ids).logits.square().mean()

        largest.append(0)
        return finetune(
            bench.model, bench.vocabulary, steps_of(bench), SETTINGS, seed=1, max_tokens=160,
            batch_loss=loss, keeper=keeper,
        )  # fmt: skip

    kept = stopped_at(3, stage)
    report = stage(Memory(kept=kept))
    assert largest[0] > 70 >= largest[1]
    assert report.smallest_micro_batch == kept.numbers["max_tokens"]
