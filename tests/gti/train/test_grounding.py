"""Grounding against Algorithm 1 written out in full, and that nothing else moves."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gti.method import GroundingPlan
from gti.model.flops import ModelShape
from gti.train.batches import collate
from gti.train.constant_prefixes import ConstantPrefixes
from gti.train.grounding import OwnRows, derangement, ground, grounding_examples
from gti.train.order import take_budget
from gti.train.training import rate

SETTINGS = SimpleNamespace(
    learning_rate=0.05,
    batch_size=8,
    schedule="cosine",
    warmup_share=0.1,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    clip_norm=0.5,
)


def batches_of(bench, count=12, size=8, seed=0):
    examples = grounding_examples(bench.prompter, GroundingPlan(), np.random.default_rng(0))
    rng = np.random.default_rng(seed)
    return [[examples[i] for i in rng.choice(len(examples), size)] for _ in range(count)]


def algorithm_1(bench, batches, settings):
    """The paper's algorithm as written: full matrix as parameter, gradient masked to new rows.

    Full padded logits, a plain AdamW over the whole matrix, the mask before clipping.
    """
    model, ids = bench.model, bench.vocabulary.new_ids
    model.requires_grad_(False)
    matrices = list({id(m): m for m in (bench.embedding, bench.head)}.values())
    for matrix in matrices:
        matrix.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        matrices,
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    for step, examples in enumerate(batches):
        total = torch.zeros((), dtype=matrices[0].dtype)
        count = 0
        for example in examples:
            ids_ = torch.from_numpy(example.ids)[None]
            logits = model(input_ids=ids_).logits[0]
            for place in example.targets:
                total = total - logits[place - 1].log_softmax(-1)[ids_[0, place]]
                count += 1
        optimizer.zero_grad()
        (total / count).backward()
        for matrix in matrices:
            mask = torch.zeros(matrix.shape[0], 1, dtype=matrix.dtype)
            mask[ids] = 1
            matrix.grad.mul_(mask)
        torch.nn.utils.clip_grad_norm_(matrices, settings.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate(settings, step, len(batches))
        optimizer.step()


@pytest.mark.parametrize(
    ("kind", "packs"),
    [("tied", True), ("untied", True), ("qwen3", True), ("gemma3", True), ("tied", False)],
)
def test_trajectory_equals_algorithm_1(make_bench, kind, packs, monkeypatch):
    if not packs:
        monkeypatch.setattr("gti.train.grounding.can_pack", lambda *_: False)
    ours, theirs = make_bench(kind), make_bench(kind)
    ours.model.double()
    theirs.model.double()
    # Rows are handled in float32 in real runs; equality is claimed in float64.
    monkeypatch.setattr(
        "gti.train.grounding.read_rows", lambda matrix, ids: matrix.detach()[ids].clone()
    )
    batches = batches_of(ours)
    report = ground(ours.model, ours.vocabulary, batches, SETTINGS, max_tokens=200)
    algorithm_1(theirs, batches, SETTINGS)
    torch.testing.assert_close(ours.embedding, theirs.embedding, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(ours.head, theirs.head, rtol=1e-9, atol=1e-10)
    assert report.steps == len(batches)
    assert (report.unshared is None) == packs


def pairs_of(bench, direction):
    plan = GroundingPlan(
        text_to_sid=direction == "text_to_sid", sid_to_text=direction == "sid_to_text"
    )
    return grounding_examples(bench.prompter, plan, np.random.default_rng(0))


def trained(bench, direction, **options):
    """(rows after six steps of one direction, report); each batch comes twice."""
    examples = pairs_of(bench, direction)
    batches = [examples[start : start + 8] for start in (0, 8, 16)] * 2
    bench.model.double()
    report = ground(bench.model, bench.vocabulary, batches, SETTINGS, **options)
    return bench.head.detach(), report


@pytest.mark.parametrize("direction", ["text_to_sid", "sid_to_text"])
@pytest.mark.parametrize("kind", ["untied", "qwen3"])
def test_bound_and_micro_batches_leave_the_rows_alone(make_bench, kind, direction, monkeypatch):
    monkeypatch.setattr(
        "gti.train.grounding.read_rows", lambda matrix, ids: matrix.detach()[ids].clone()
    )
    reports = {}
    with monkeypatch.context() as patched:
        patched.setattr("gti.train.grounding.can_pack", lambda *_: False)
        expected, reports["plain"] = trained(make_bench(kind), direction)
    for name, options in {
        "kept": {},
        "nothing kept": {"prefix_bytes": 0},
        "little kept": {"prefix_bytes": 100_000},
        "small pieces": {"max_tokens": 50},
    }.items():
        found, reports[name] = trained(make_bench(kind), direction, **options)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    assert len({report.nominal_flops for report in reports.values()}) == 1
    spent = {name: report.actual_flops for name, report in reports.items()}
    assert spent["kept"] <= spent["little kept"] <= spent["nothing kept"] < spent["plain"]
    if direction == "text_to_sid":
        assert spent["kept"] < spent["little kept"] < spent["nothing kept"]


def test_bfloat16_stays_near_float32(make_bench):
    exact, rounded = make_bench("qwen3"), make_bench("qwen3")
    batches = batches_of(exact, count=4) * 2
    one = ground(exact.model, exact.vocabulary, batches, SETTINGS)
    other = ground(rounded.model, rounded.vocabulary, batches, SETTINGS, dtype="bfloat16")
    assert other.first_loss == pytest.approx(one.first_loss, rel=0.02)
    assert other.last_loss == pytest.approx(one.last_loss, rel=0.05)
    assert other.last_loss != one.last_loss


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
def test_only_the_new_rows_move_bit_for_bit(make_bench, kind):
    bench = make_bench(kind)
    before = {name: p.detach().clone() for name, p in bench.model.named_parameters()}
    requires = {name: p.requires_grad for name, p in bench.model.named_parameters()}
    settings = SimpleNamespace(**{**vars(SETTINGS), "weight_decay": 0.1})
    report = ground(bench.model, bench.vocabulary, batches_of(bench), settings)
    new = bench.vocabulary.new_ids
    matrices = {"model.embed_tokens.weight", "lm_head.weight"}
    moved = 0
    for name, parameter in bench.model.named_parameters():
        same = parameter.detach() == before[name]
        if name in matrices:
            others = torch.ones(len(same), dtype=torch.bool)
            others[new] = False
            assert same[others].all(), f"{name}: a row that is not new moved"
            moved += int((~same[new]).any(dim=1).sum())
        else:
            assert same.all(), f"{name} moved"
        assert parameter.requires_grad == requires[name]
    assert moved >= report.new_rows_with_gradient > 0
    assert report.text_rows_with_gradient == 0


def test_padding_rows_of_a_padded_vocabulary_stay_as_they_were(make_bench):
    bench = make_bench("qwen3", pad=60)
    vocabulary = bench.vocabulary
    assert vocabulary.matrix_rows == vocabulary.rows_before  # 24 tokens fit into 60 padding rows
    assert vocabulary.padding_rows == 60 - bench.sids.num_tokens
    padding = torch.ones(vocabulary.matrix_rows, dtype=torch.bool)
    padding[vocabulary.new_ids] = padding[vocabulary.text_ids] = False
    before = bench.embedding.detach()[padding].clone()
    ground(bench.model, vocabulary, batches_of(bench), SETTINGS)
    assert torch.equal(bench.embedding.detach()[padding], before)


def test_grounding_lowers_its_loss_and_is_repeatable(make_bench):
    first, second = make_bench(), make_bench()
    batches = batches_of(first, count=100, size=16)
    report = ground(first.model, first.vocabulary, batches, SETTINGS)
    ground(second.model, second.vocabulary, batches, SETTINGS)
    assert report.last_loss < 0.9 * report.first_loss
    assert torch.equal(first.embedding, second.embedding)


def test_micro_batches_and_padding_leave_loss_and_gradient_alone(make_bench):
    bench = make_bench("untied")
    bench.model.double()
    own = OwnRows(bench.model, bench.vocabulary)
    own.parameters = [torch.nn.Parameter(p.detach().double()) for p in own.parameters]
    examples = batches_of(bench, count=1, size=12)[0]
    together = own.loss(collate(examples, torch.device("cpu")))
    together.backward()
    expected = [p.grad.clone() for p in own.parameters]
    for parameter in own.parameters:
        parameter.grad = None
    alone = [own.loss(collate([example], torch.device("cpu"))) for example in examples]
    sum(alone).backward()
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone), rel=1e-6)
    for parameter, gradient in zip(own.parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=1e-9)


def test_six_tasks_where_there_are_title_and_description(make_bench):
    bench = make_bench()
    examples = grounding_examples(bench.prompter, GroundingPlan(), np.random.default_rng(0))
    assert len(examples) == 6 * bench.sids.num_items
    assert len({example.task for example in examples}) == 6
    one_way = GroundingPlan(sid_to_text=False)
    ways = {e.task for e in grounding_examples(bench.prompter, one_way, np.random.default_rng(0))}
    assert ways == {"title_to_sid", "detail_to_sid", "both_to_sid"}


def test_shuffled_pairs_keep_texts_and_sids_but_never_an_items_own(make_bench):
    bench = make_bench()
    true = grounding_examples(bench.prompter, GroundingPlan(), np.random.default_rng(0))
    shuffled = grounding_examples(
        bench.prompter, GroundingPlan(shuffled=True), np.random.default_rng(0)
    )
    assert [e.task for e in true] == [e.task for e in shuffled]
    own = derangement(bench.sids.num_items, np.random.default_rng(0))
    for place, (a, b) in enumerate(zip(true, shuffled, strict=True)):
        if a.task == "title_to_sid":
            item = place // 6
            assert a.ids[: a.answer_start].tolist() == b.ids[: b.answer_start].tolist()
            assert b.ids[b.answer_start :].tolist() == bench.prompter.sid_ids[own[item]].tolist()


@pytest.mark.parametrize("count", [2, 3, 17])
def test_a_derangement_has_no_fixed_point(count):
    for seed in range(20):
        order = derangement(count, np.random.default_rng(seed))
        assert sorted(order) == list(range(count))
        assert (order != np.arange(count)).all()


def test_the_budget_is_met_to_within_one_example(make_bench):
    bench = make_bench()
    shape = ModelShape.of(bench.model)
    examples = grounding_examples(bench.prompter, GroundingPlan(), np.random.default_rng(0))
    budget = 2.5 * shape.flops([len(e.ids) for e in examples], "rows")
    batches = take_budget(examples, 16, np.random.default_rng(0), shape, "rows", budget)
    spent = shape.flops([len(e.ids) for batch in batches for e in batch], "rows")
    largest = max(shape.flops([len(e.ids)], "rows") for e in examples)
    assert budget <= spent < budget + largest
    seen = [id(e) for batch in batches for e in batch][: len(examples)]
    assert len(set(seen)) == len(examples)  # a whole pass before anything comes again


def test_out_of_memory_cuts_micro_batches_then_gives_up_what_is_kept(make_bench, monkeypatch):
    monkeypatch.setattr(
        "gti.train.grounding.read_rows", lambda matrix, ids: matrix.detach()[ids].clone()
    )
    expected, plenty = trained(make_bench("tied"), "text_to_sid")
    assert (plenty.smallest_micro_batch, plenty.gave_up_prefixes) == (None, False)
    bench = make_bench("tied")
    whole = ConstantPrefixes.give_up
    given_up = []
    monkeypatch.setattr(
        ConstantPrefixes, "give_up", lambda self: (given_up.append(1), whole(self))[1]
    )
    plain = OwnRows.loss

    def scarce(self, batch):
        if not given_up:
            raise torch.OutOfMemoryError("no memory left")
        return plain(self, batch)

    monkeypatch.setattr(OwnRows, "loss", scarce)
    found, little = trained(bench, "text_to_sid")
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    assert len(given_up) == 1
    longest = max(len(e) for e in pairs_of(bench, "text_to_sid")[:8])
    assert (little.smallest_micro_batch, little.gave_up_prefixes) == (longest, True)
    assert little.nominal_flops == plenty.nominal_flops
    assert little.actual_flops > plenty.actual_flops
    assert (little.first_loss, little.steps) == (pytest.approx(plenty.first_loss), plenty.steps)
