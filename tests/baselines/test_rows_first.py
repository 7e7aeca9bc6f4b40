"""Rows that train first on something else than texts: on R (`mean_rows_first`), on codes alone."""

import json
from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest

from benchmarks.cell import train
from benchmarks.cell.prepare import prepare_cell
from gti.data.streams import numpy_stream
from gti.train.training import StageReport
from leaderboard.records.record import read_record, record_digest
from leaderboard.verify.verify import verify

QUERIES = """
[queries]
rule = "item_texts"
sha256 = "unpinned"
per_item = 4
words = 3
category_fields = ["description"]
gains = [1.0, 3.0]
"""
KINDS = ("sequence", "chat", "search")


@pytest.fixture
def setting(tmp_path, write_setting):
    """`setting(kind)`: the tiny setting on either track, with unlike batches for rows and SFT."""

    def write(kind):
        changes = {"validation_users": "2", "passes": "2.0"}
        if kind == "search":
            path = write_setting(tmp_path, name=kind, style="chat", **changes)
            path.write_text(path.read_text() + QUERIES)
        else:
            path = write_setting(tmp_path, name=kind, style=kind, **changes)
        before, _, grounding = path.read_text().partition("[grounding]")
        path.write_text(
            f"{before}[grounding]{grounding.replace('batch_size = 16', 'batch_size = 5')}"
        )
        return path

    return write


@pytest.fixture
def stages(spec_of, setting):
    """`stages(kind, method)`: the cell, and the batches of each stage, nothing being trained."""

    def run(kind, method):
        cell = prepare_cell(spec_of(setting(kind), method))
        seen = {}

        def rows(model, vocabulary, batches, *others, **options):
            seen["before"] = batches
            return StageReport()

        def all_weights(model, vocabulary, steps, *others, **options):
            seen["sft"] = [step.retrieval for step in steps]
            return StageReport()

        forms = replace(cell.forms, ground=rows, finetune=all_weights)
        initialized = train.initialize(replace(cell, forms=forms))
        train.ground(initialized)
        train.finetune(initialized)
        return cell, seen

    return run


def ids_of(batches):
    return [tuple(example.ids.tolist()) for batch in batches for example in batch]


def rows_only(shape, lengths):
    """Nominal FLOPs, by hand: two forwards of the body, three of attention and of the head."""
    return sum(
        4 * shape.body * n
        + 6 * shape.matrix_rows * shape.width * n
        + 12 * shape.layers * shape.attention_width * n * (n + 1) / 2
        for n in lengths
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_train_on_r_itself_in_sft_batches_and_an_order_of_their_own(stages, kind):
    cell, seen = stages(kind, "mean_rows_first")
    _, usual = stages(kind, "gti")
    assert ids_of(seen["sft"]) == ids_of(usual["sft"])  # what the method does shifts nothing in R
    one_pass = Counter(ids_of([cell.budget.retrieval]))
    before = ids_of(seen["before"])
    assert Counter(before[: one_pass.total()]) <= one_pass
    assert set(before) <= set(ids_of(usual["sft"]))
    assert before != ids_of(usual["sft"])[: len(before)]
    size = cell.spec.setting.sft.batch_size
    assert size != cell.spec.setting.grounding.batch_size
    # The last batch of a pass is short, and so is the one at which the budget ends.
    full = [len(batch) for batch in seen["before"][:-1]]
    assert set(full[: one_pass.total() // size]) == {size}
    tasks = {example.task for batch in seen["before"] for example in batch}
    assert tasks == {"query_before_sft" if kind == "search" else "retrieval_before_sft"}


def test_blocks_of_a_history_come_in_the_order_of_the_stream_grounding_order(stages):
    cell, seen = stages("chat", "mean_rows_first")
    blocks = [example.block for example in cell.budget.retrieval]
    drawn = numpy_stream(0, "grounding-order").permutation(len(set(blocks)))
    first_pass = [example for batch in seen["before"] for example in batch][: len(blocks)]
    met = list(dict.fromkeys(example.block for example in first_pass))
    assert met == list(islice(drawn.tolist(), len(met)))


@pytest.mark.parametrize("method", ["mean_rows_first", "sid_only"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_of_a_is_spent_on_rows_to_within_one_example(stages, kind, method):
    cell, seen = stages(kind, method)
    lengths = [len(ids) for ids in ids_of(seen["before"])]
    spent = rows_only(cell.shape, lengths)
    assert spent >= cell.budget.extra.flops > spent - rows_only(cell.shape, lengths[-1:])


@pytest.mark.parametrize("kind", KINDS)
def test_codes_alone_are_every_items_semantic_id_and_no_text(stages, kind):
    cell, seen = stages(kind, "sid_only")
    sids, tokenizer = cell.spec.inputs.semantic_ids, cell.tokenizer
    named = [
        [f"<{'abcd'[level]}_{code}>" for level, code in enumerate(codes)]
        for codes in sids.codes[cell.shown.items]  # pairs show no more: some are held out of all
    ]
    end = [] if tokenizer.chat_template is None else [tokenizer.eos_token]
    wanted = {
        tuple(tokenizer.convert_tokens_to_ids([tokenizer.bos_token, *each, *end])) for each in named
    }
    count = len(named)
    before = [example for batch in seen["before"] for example in batch]
    assert len(before) > count
    assert {tuple(example.ids.tolist()) for example in before[:count]} == wanted
    assert {example.task for example in before} == {"prefix_to_code"}
    for example in before:
        assert example.targets.tolist() == list(range(1, len(example.ids)))
    assert max(len(batch) for batch in seen["before"]) == 5


@pytest.mark.parametrize("method", ["mean_rows_first", "sid_only"])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_runs_verify_and_name_what_was_trained_on(setting, tmp_path, cell_here, kind, method):
    results = tmp_path / "results"
    path = cell_here(setting(kind), method, results)
    assert [each for each in verify(results) if each.field != "code.dirty"] == []
    record = read_record(path)
    track = "query" if kind == "search" else "retrieval"
    before = f"{track}_before_sft" if method == "mean_rows_first" else "prefix_to_code"
    assert record.tasks.keys() == {track, before}
    first, last = record.proofs
    assert (first.stage, last.stage) == ("grounding", "sft")
    assert first.new_rows_changed > 0
    assert first.text_rows_changed == first.text_rows_with_gradient == 0
    assert not first.backbone_changed
    assert record.method.facts.directions == (
        ("retrieval",) if method == "mean_rows_first" else ("codes",)
    )


@pytest.mark.parametrize("method", ["mean_rows_first", "sid_only"])
def test_a_record_that_names_pairs_or_too_many_examples_is_found_out(
    setting, tmp_path, cell_here, method
):
    results = tmp_path / "results"
    path = cell_here(setting("sequence"), method, results)
    content = json.loads(path.read_text(encoding="utf-8"))
    own = next(task for task in content["tasks"] if task != "retrieval")
    steps = content["cost"]["grounding"]["steps"]
    size = content["setting"]["sft" if method == "mean_rows_first" else "grounding"]["batch_size"]
    assert steps <= content["tasks"][own] <= steps * size
    for change, field in (
        ({own: steps * size + 1}, "tasks.* (grounding)"),
        ({"title_to_sid": 1}, "tasks.title_to_sid"),
    ):
        forged = {**content, "tasks": {**content["tasks"], **change}}
        forged["digest"] = record_digest(forged)
        path.write_text(json.dumps(forged), encoding="utf-8")
        assert field in {finding.field for finding in verify(path)}
