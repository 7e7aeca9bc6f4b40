"""What a cell's scorer gives for its track, beside single passes of the whole model."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.ranks_table import as_ranks
from benchmarks.cell.scoring import Scorer
from benchmarks.cell.train import train_cell
from gti.data.dataset import HELD_OUT
from gti.plain import PLAIN
from leaderboard.metrics.metrics import metrics, relevance_of

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
QUERIES = """
[queries]
rule = "item_texts"
sha256 = "unpinned"
per_item = 4
words = 3
category_fields = ["description"]
gains = [1.0, 3.0]
"""


@pytest.fixture
def golden(monkeypatch, spec_of):
    """The golden setting's cell before training: users and their one next item."""
    monkeypatch.chdir(GOLDEN)
    return prepare_cell(spec_of(GOLDEN / "golden.toml", "mean"))


@pytest.fixture
def search(tmp_path, tiny_qwen3, write_setting, spec_of):
    """A cell of the retrieval track, asked in two wordings: queries and their relevant items."""
    path = write_setting(tmp_path, name="search", style="chat", wordings="2")
    text = path.read_text().replace('name = "nano"', f'name = "{tiny_qwen3}"')
    path.write_text(text + QUERIES)
    return prepare_cell(spec_of(path, "mean"))


def by_hand(cell, prompt, item):
    """(nll, trie_nll) of one item from one pass of the whole model."""
    codes, start = cell.prompter.sid_ids, len(prompt)
    ids = torch.tensor(np.concatenate([prompt, codes[item]]))[None]
    with torch.no_grad():
        logp = cell.model(input_ids=ids).logits[0].double().log_softmax(dim=-1)
    nll, trie_nll = 0.0, 0.0
    for level, code in enumerate(codes[item]):
        behind = codes[(codes[:, :level] == codes[item, :level]).all(axis=1), level]
        here = logp[start - 1 + level]
        nll -= float(here[code])
        trie_nll += float(here[np.unique(behind)].logsumexp(dim=0) - here[code])
    return nll, trie_nll


@pytest.mark.parametrize("part", HELD_OUT)
def test_each_user_has_the_nll_of_the_held_out_item(golden, part):
    users = np.arange(len(golden.scorer.track.sizes(part)))[::-3]
    found = golden.scorer.nll(golden.model, part, users)
    prompts = golden.scorer.track.prompts(part, users, 0)
    targets = golden.spec.inputs.split.targets(part)[users]
    expected = [by_hand(golden, *pair) for pair in zip(prompts, targets, strict=True)]
    np.testing.assert_allclose(np.stack([found.nll, found.trie_nll], axis=1), expected, rtol=1e-5)
    assert golden.scorer.tokens == sum(len(prompt) for prompt in prompts)


def test_each_query_has_the_nll_of_every_relevant_item_good_ones_first(search):
    rows = np.array([4, 0, len(search.spec.inputs.queries.validation) - 1])
    for wording in (0, 1):
        found = search.scorer.nll(search.model, "validation", rows, wording)
        prompts = search.scorer.track.prompts("validation", rows, wording)
        asked = [search.spec.inputs.queries.validation[row] for row in rows]
        expected = [
            by_hand(search, prompt, item)
            for prompt, query in zip(prompts, asked, strict=True)
            for item in [*query.good, *query.maybe]
        ]
        assert len(expected) > len(rows)
        values = np.stack([found.nll, found.trie_nll], axis=1)
        np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_after_training_ranks_hold_each_targets_nll_and_the_curve_that_of_all_of_validation(
    monkeypatch, spec_of
):
    monkeypatch.chdir(GOLDEN)
    golden = train_cell(prepare_cell(spec_of(GOLDEN / "golden.toml", "gti"))).prepared
    scorer, users = golden.scorer, np.arange(len(golden.scorer.track.sizes("validation")))
    assert len(scorer.sample) < len(users)
    ranks, _ = scorer.ranks(golden.model, "validation")
    prompts = scorer.track.prompts("validation", users, 0)
    targets = golden.spec.inputs.split.targets("validation")
    expected = [by_hand(golden, *pair) for pair in zip(prompts, targets, strict=True)]
    found = np.stack([ranks.nll, ranks.trie_nll], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    sample, whole = scorer.sample_metrics(golden.model), metrics(ranks, (10,), 12)
    assert (sample["nll"], sample["trie_nll"]) == (whole["nll"], whole["trie_nll"])
    asked = np.zeros(len(users), dtype=bool)
    asked[scorer.sample] = True
    assert sample["ndcg@10"] == metrics(ranks.where(asked), (10,), 12)["ndcg@10"]
    assert golden.ledger.curve[-1]["metrics"] == sample
    assert golden.ledger.curve[0]["metrics"]["nll"] > sample["nll"]


def test_a_query_counts_by_its_good_items_in_every_wording(search):
    scorer, queries = search.scorer, search.spec.inputs.queries.validation
    expected = []
    for wording in (0, 1):
        prompts = scorer.track.prompts("validation", np.arange(len(queries)), wording)
        for prompt, query in zip(prompts, queries, strict=True):
            expected.append(np.mean([by_hand(search, prompt, item) for item in query.good], axis=0))
    found = scorer.sample_metrics(search.model)
    whole = np.mean(expected, axis=0)
    np.testing.assert_allclose([found["nll"], found["trie_nll"]], whole, rtol=1e-5)
    ranks, _ = scorer.ranks(search.model, "validation")
    assert not ranks.transitions.any()
    exact = metrics(ranks, (10,), 20, relevance_of(search.spec.setting))
    assert (found["nll"], found["trie_nll"]) == (exact["nll"], exact["trie_nll"])


@pytest.mark.parametrize("part", HELD_OUT)
def test_transitions_are_those_of_training_histories(golden, part):
    inputs = golden.spec.inputs
    users = np.arange(len(inputs.split.users))[::-1]
    counts = np.zeros(len(users), dtype=np.int64)
    ranks = as_ranks(inputs, users, part, counts, counts)
    for row, user in enumerate(users):
        pair = (inputs.split.history(user, part)[-1], inputs.split.targets(part)[user])
        pairs = [step for history in inputs.split.train for step in pairwise(history.tolist())]
        assert ranks.transitions[row] == pairs.count(pair)
    assert ranks.transitions.any()
    assert not ranks.has_nll


def test_the_plain_scorer_gives_the_same(golden):
    spec = golden.spec
    asked = (spec.setting, spec.inputs, golden.prompter, golden.vocabulary, spec.device)
    rows = golden.scorer.sample
    fast = golden.scorer.nll(golden.model, "validation", rows)
    plain = Scorer(*asked, PLAIN).nll(golden.model, "validation", rows)
    np.testing.assert_allclose(fast.nll, plain.nll, rtol=1e-5)
    np.testing.assert_allclose(fast.trie_nll, plain.trie_nll, rtol=1e-5)
