"""Bits per character of plain English beside a plain loop over the pages' tokens."""

import hashlib
import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.cell.cell import measure_retention
from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.retention import pages, windows
from benchmarks.cell.train import TrainedCell
from benchmarks.machine.places import NANO, PLAIN_ENGLISH
from leaderboard.records.parts import Retention


def by_loop(model, tokenizer, context, start):
    """Every token of the pages after those before it in windows that begin with `start`."""
    ids = tokenizer(pages(), add_special_tokens=False).input_ids
    nats, size = 0.0, min(context, 512) - 1
    for place in range(0, len(ids), size):
        window = [start, *ids[place : place + size]]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([window])).logits[0].double()
        logp = logits.log_softmax(dim=-1)
        nats -= sum(float(logp[i, token]) for i, token in enumerate(window[1:]))
    return nats / math.log(2) / len(pages())


@pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])
def test_before_is_the_backbones_own_and_after_that_of_the_grown_model(
    write_setting, spec_of, tmp_path, plain
):
    cell = prepare_cell(spec_of(write_setting(tmp_path), "mean", plain=plain))
    own, words = (kind.from_pretrained(NANO) for kind in (AutoModelForCausalLM, AutoTokenizer))
    context, start = own.config.max_position_embeddings, words.bos_token_id
    measure_retention(TrainedCell(prepared=cell, model=cell.model, manifest={}))
    found = Retention.model_validate(cell.ledger.retention)
    # In float32, window by window here and packed there: 1.3e-5 was seen on one processor.
    assert found.before == pytest.approx(by_loop(own, words, context, start), rel=1e-4)
    grown = by_loop(cell.model, words, context, start)
    assert found.after == pytest.approx(grown, rel=1e-4)
    assert found.after > found.before  # new rows take a part of each token's probability
    assert found.pages == hashlib.sha256(PLAIN_ENGLISH.read_bytes()).hexdigest()
    assert found.characters == len(PLAIN_ENGLISH.read_text(encoding="utf-8")) > 5000
    assert cell.ledger.cost["retention"]["seconds"] > 0


def test_a_tokenizer_without_a_beginning_starts_windows_with_its_end(tiny_qwen3):
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen3)
    assert tokenizer.bos_token_id is None
    found = windows(tokenizer, 100)
    assert {len(window) for window in found[:-1]} == {100}
    assert {int(window.ids[0]) for window in found} == {tokenizer.eos_token_id}
    ids = [int(token) for window in found for token in window.ids[1:]]
    assert tokenizer.decode(ids) == pages()
    assert sum(window.num_targets for window in found) == len(ids)
