"""Where examples are cut, and what a batch of them costs."""

import numpy as np
import pytest
import torch

from gti.method import GroundingPlan
from gti.model.compute import Computing
from gti.model.flops import ModelShape
from gti.prompts.prompter import Example
from gti.train.batches import collate
from gti.train.constant_prefixes import Run
from gti.train.cut_examples import Cutter, batch_flops, cut_at_first_new
from gti.train.grounding import grounding_examples
from gti.train.packed_attention import packed_attending

IS_NEW = np.arange(20) >= 10


def example(ids, targets):
    return Example(np.array(ids), np.array(targets), "task")


def test_text_to_sid_is_cut_before_the_answer():
    cut = cut_at_first_new(example([1, 2, 3, 10, 11, 12], [3, 4, 5]), IS_NEW)
    assert cut.prefix.tolist() == [1, 2, 3]
    assert cut.ids.tolist() == [10, 11]
    assert cut.places.tolist() == [0, 1]
    assert cut.labels.tolist() == [11, 12]
    assert cut.first == 10


def test_sid_to_text_is_cut_before_the_semantic_id():
    cut = cut_at_first_new(example([1, 10, 11, 4, 5, 6], [4, 5]), IS_NEW)
    assert cut.prefix.tolist() == [1]
    assert cut.ids.tolist() == [10, 11, 4, 5]
    assert cut.places.tolist() == [2, 3]
    assert cut.labels.tolist() == [5, 6]
    assert cut.first is None


@pytest.mark.parametrize(
    ("ids", "targets"),
    [([1, 2, 3, 10], [2, 3]), ([10, 2, 3], [2]), ([1, 2, 3], [1, 2])],
    ids=["text among the targets before it", "new at once", "no new token"],
)
def test_nothing_is_constant_where_a_target_or_nothing_stands_before(ids, targets):
    cut = cut_at_first_new(example(ids, targets), IS_NEW)
    assert len(cut.prefix) == 0
    assert cut.first is None
    assert cut.ids.tolist() == ids[: targets[-1]]
    assert cut.labels.tolist() == [ids[t] for t in targets]


def splitter_of(bench, examples):
    matrices = (bench.embedding.detach(), bench.head.detach())
    return Cutter(Computing(bench.model, "float32"), matrices, bench.vocabulary.new_ids, examples)


def test_one_target_alone_leaves_nothing_to_run_behind_the_prefix(make_bench):
    bench = make_bench()
    new = int(bench.vocabulary.new_ids[0])
    alone = example([1, 2, new], [2])
    splitter = splitter_of(bench, [alone])
    with packed_attending(bench.model):
        (batch,) = splitter.micro_batches([alone], 100, torch.device("cpu"))
    assert batch.packed is None
    assert batch.first_labels.tolist() == [new]
    assert batch.num_targets == 0


def test_flops_of_a_batch_by_hand(make_bench):
    bench = make_bench()
    shape = ModelShape.of(bench.model)
    new = bench.vocabulary.new_ids.tolist()
    examples = [example([1, 2, 3, *new[:3]], [3, 4, 5]), example([1, *new[:2], 4, 5], [3, 4])]
    splitter = splitter_of(bench, examples)
    with packed_attending(bench.model):
        (batch,) = splitter.micro_batches(examples, 100, torch.device("cpu"))
    # Both examples are of one task, and [1], the whole prefix of one of them, is no lead.
    assert sorted(batch.runs, key=lambda run: run.tokens) == [Run(1, 0, 1), Run(3, 0, 1)]
    head = 2 * shape.matrix_rows * shape.width
    pair = 4 * shape.layers * shape.attention_width
    runs = 2 * shape.body * (1 + 3) + pair * (1 + 6) + head * 2
    # With gradients: two tokens behind three, three behind one; two targets each.
    pairs = (3 * 2 + 3) + (1 * 3 + 6)
    trained = 2 * 2 * shape.body * (2 + 3) + 3 * pair * pairs + 2 * head * 4
    assert batch_flops(batch, shape) == runs + trained
    plain = collate(examples, torch.device("cpu"))
    assert batch_flops(plain, shape) == shape.spent_flops([6, 5], 5, "rows")
    assert batch_flops(batch, shape) < batch_flops(plain, shape)


def test_a_semantic_id_costs_a_forward_pass_of_its_text_and_two_tokens(make_bench):
    bench = make_bench()
    plan = GroundingPlan(sid_to_text=False)
    examples = grounding_examples(bench.prompter, plan, np.random.default_rng(0))[:12]
    splitter = splitter_of(bench, examples)
    with packed_attending(bench.model):
        (batch,) = splitter.micro_batches(examples, 10_000, torch.device("cpu"))
    assert batch.lengths == (2,) * 12
    assert len(batch.firsts) == 12
    assert sum(batch.before) == sum(len(e.ids) - 3 for e in examples)
