"""NLL of targets against the library's own log-softmax, exact scoring, and what must sum to one."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gti.data.semantic_ids import SemanticIds
from gti.plain import plain_target_nll
from gti.search import likelihood, reading
from gti.search.decoding import build_trie
from gti.search.exact_scoring import exact_search
from gti.search.likelihood import target_nll
from gti.search.user_batches import SearchMemoryError

CPU = torch.device("cpu")
KINDS = ["tied", "untied", "qwen3"]
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
SIZES = (9, 2, 10, 9, 3, 9, 1)
TARGETS = [
    np.array(items, dtype=np.int64)
    for items in ([5], [3, 7, 12], [], [0, 1, 2, 5, 5], [39], [8, 3], [20])
]
ALL = np.arange(40)


def prompts_of(bench, sizes=SIZES):
    rng = np.random.default_rng(5)
    return [bench.prompter.retrieval_prompt(rng.integers(0, 40, size)) for size in sizes]


def trie_of(bench):
    return build_trie(bench.sids, bench.vocabulary, CPU)


def sharing(sids):
    """[items] how many items have each item's Semantic ID."""
    return (sids.codes[:, None] == sids.codes[None]).all(axis=2).sum(axis=1)


def by_hand(bench, prompt, item):
    """(nll, trie_nll) of one item from the library's logits and the items' codes alone."""
    own, codes, start = bench.prompter.sid_ids[item], bench.prompter.sid_ids, len(prompt)
    ids = torch.tensor(np.concatenate([prompt, own]))[None]
    with torch.no_grad():
        logp = bench.model(input_ids=ids).logits[0].log_softmax(dim=-1)
    nll = trie_nll = 0.0
    for level, code in enumerate(own):
        alike = codes[(codes[:, :level] == own[:level]).all(axis=1)]
        here, allowed = logp[start - 1 + level], torch.from_numpy(np.unique(alike[:, level]))
        nll -= float(here[code])
        trie_nll += float(here[allowed].logsumexp(dim=0) - here[code])
    return nll, trie_nll


def assert_same(found, expected, **close):
    np.testing.assert_allclose(found.nll, expected.nll, **close)
    np.testing.assert_allclose(found.trie_nll, expected.trie_nll, **close)


@pytest.mark.parametrize("way", [target_nll, plain_target_nll])
@pytest.mark.parametrize("style", ["sequence", "chat"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_librarys_log_softmax(make_bench, exact, kind, style, way):
    bench = make_bench(kind, style)
    exact(bench.model)
    prompts = prompts_of(bench)
    found = way(bench.model, trie_of(bench), prompts, TARGETS)
    pairs = zip(prompts, TARGETS, strict=True)
    expected = np.array([by_hand(bench, prompt, item) for prompt, own in pairs for item in own])
    assert found.nll.dtype == found.trie_nll.dtype == np.float64
    np.testing.assert_allclose(found.nll, expected[:, 0], **CLOSE)
    np.testing.assert_allclose(found.trie_nll, expected[:, 1], **CLOSE)


@pytest.mark.parametrize("width", [1, 5, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_all_items_of_a_prompt_are_told_apart_whatever_stands_side_by_side(
    make_bench, exact, monkeypatch, kind, width
):
    monkeypatch.setattr(likelihood, "WIDTH", width)
    bench = make_bench(kind)
    exact(bench.model)
    asked = (bench.model, trie_of(bench), prompts_of(bench, (4, 7)), [ALL[::-1], ALL])
    assert_same(target_nll(*asked), plain_target_nll(*asked), **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_probabilities_of_all_items_sum_to_one(make_bench, exact, kind):
    bench = make_bench(kind)
    exact(bench.model)
    prompts = prompts_of(bench, (3, 8))
    found = target_nll(bench.model, trie_of(bench), prompts, [ALL, ALL])
    shared = sharing(bench.sids)
    assert shared.max() > 1
    _, one_of_each = np.unique(bench.sids.codes, axis=0, return_index=True)
    for nll in found.trie_nll.reshape(2, 40):
        assert np.exp(-nll[one_of_each]).sum() == pytest.approx(1, abs=1e-9)
        assert np.exp(-(nll + np.log(shared))).sum() == pytest.approx(1, abs=1e-9)
    assert (found.nll > found.trie_nll).all()
    assert np.exp(-found.nll).sum() < 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_items_nll_is_its_exact_score(make_bench, exact, kind):
    bench = make_bench(kind)
    exact(bench.model)
    trie, prompts = trie_of(bench), prompts_of(bench, (3, 8))
    found = target_nll(bench.model, trie, prompts, [ALL, ALL])
    beams = exact_search(bench.model, trie, prompts, trie.num_leaves)
    scores = np.empty_like(beams.scores)
    np.put_along_axis(scores, beams.leaves, beams.scores, axis=1)
    # The list of scores is kept in float32.
    np.testing.assert_allclose(-found.nll.reshape(2, 40), scores[:, trie.leaf_of], rtol=2e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_prompts_and_the_size_of_batches_do_not_matter(make_bench, exact, kind):
    bench = make_bench(kind)
    exact(bench.model)
    trie, prompts = trie_of(bench), prompts_of(bench)
    targets = [own[:1] if len(own) else np.array([9]) for own in TARGETS]
    usual = target_nll(bench.model, trie, prompts, targets)
    order = np.random.default_rng(0).permutation(len(prompts))
    turned = target_nll(
        bench.model, trie, [prompts[i] for i in order], [targets[i] for i in order], max_tokens=1
    )
    np.testing.assert_allclose(turned.nll, usual.nll[order], **CLOSE)
    np.testing.assert_allclose(turned.trie_nll, usual.trie_nll[order], **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_read_as_a_whole_gives_the_same_values(make_bench, exact, monkeypatch, kind):
    bench = make_bench(kind)
    exact(bench.model)
    asked = (bench.model, trie_of(bench), prompts_of(bench), TARGETS)
    ours = target_nll(*asked)
    monkeypatch.setattr(reading, "KNOWN_LAYERS", ())
    assert_same(target_nll(*asked), ours, **CLOSE)


def test_a_model_of_other_layers_is_scored_too(make_bench):
    bench = make_bench()
    trie = trie_of(bench)
    torch.manual_seed(0)
    rows = len(bench.tokenizer)
    config = GPT2Config(vocab_size=rows, n_positions=128, n_embd=32, n_layer=2, n_head=2)
    asked = (GPT2LMHeadModel(config).eval(), trie, prompts_of(bench), TARGETS)
    assert_same(target_nll(*asked), plain_target_nll(*asked), rtol=1e-5)


def test_a_single_level_needs_nothing_behind_the_prompt(make_bench, exact, monkeypatch):
    bench = make_bench()
    exact(bench.model)
    first = SemanticIds(bench.sids.codes[:, :1], 24, None, {})
    trie, prompts = build_trie(first, bench.vocabulary, CPU), prompts_of(bench, (3, 6))
    monkeypatch.setattr(reading.LayerReading, "step", None)
    found = target_nll(bench.model, trie, prompts, [ALL, ALL[:5]])
    assert_same(found, plain_target_nll(bench.model, trie, prompts, [ALL, ALL[:5]]), **CLOSE)


def test_no_target_at_all_is_no_value(make_bench):
    bench = make_bench()
    nothing = [np.array([], dtype=np.int64)] * 2
    for way in (target_nll, plain_target_nll):
        for prompts, targets in (([], []), (prompts_of(bench, (1, 2)), nothing)):
            found = way(bench.model, trie_of(bench), prompts, targets)
            assert found.nll.shape == found.trie_nll.shape == (0,)


def test_half_precision_stays_near(make_bench):
    bench = make_bench("qwen3")
    asked = (bench.model, trie_of(bench), prompts_of(bench), TARGETS)
    full, half = target_nll(*asked), target_nll(*asked, dtype="bfloat16")
    plain = plain_target_nll(*asked, dtype="bfloat16")
    assert np.abs(half.nll - full.nll).max() > 1e-4
    errors = [np.abs(found.nll - full.nll).mean() for found in (half, plain)]
    assert errors[0] < max(1.5 * errors[1], 0.1)


def limited(monkeypatch, most):
    """Reading more than `most` prompts at once fails; the sizes that were asked."""
    asked, read = [], likelihood.read

    def reader(model, ids, *others):
        asked.append(len(ids))
        if len(ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return read(model, ids, *others)

    monkeypatch.setattr(likelihood, "read", reader)
    return asked


def test_out_of_memory_halves_the_batches_and_leaves_the_values(make_bench, exact, monkeypatch):
    bench = make_bench("qwen3")
    exact(bench.model)
    asked = (bench.model, trie_of(bench), prompts_of(bench), TARGETS)
    plenty = target_nll(*asked)
    assert plenty.cut_to is None
    sizes = limited(monkeypatch, 1)
    little = target_nll(*asked)
    assert_same(little, plenty, **CLOSE)
    assert 0 < little.cut_to < 16384
    assert max(sizes) > 1
    assert sizes.count(1) == 6  # the seventh prompt has no target


def test_one_prompt_that_does_not_fit_is_an_error_with_a_way_out(make_bench, monkeypatch):
    bench = make_bench()
    limited(monkeypatch, 0)
    with pytest.raises(SearchMemoryError, match=r"one at a time.*max_history"):
        target_nll(bench.model, trie_of(bench), prompts_of(bench), TARGETS)
