"""Names of unlike lengths: beams and NLL against plain logits of every name, written out whole."""

from functools import partial

import numpy as np
import pytest
import torch

from gti.search import names as module
from gti.search.decoding import beam_search, build_trie
from gti.search.likelihood import target_nll
from gti.search.names import (
    NamesError,
    build_name_trie,
    exact_name_search,
    name_nll,
    name_search,
)
from gti.search.peers import Peers
from gti.search.target_ranks import rank_relevant

CPU = torch.device("cpu")
END = 2
KINDS = ["tied", "untied", "qwen3"]


def made_names(count: int = 30, seed: int = 0) -> list[list[int]]:
    """Distinct names of 1 to 6 tokens and an end; few tokens, so that they begin alike."""
    rng, found = np.random.default_rng(seed), set()
    while len(found) < count:
        found.add(tuple(rng.integers(5, 9, rng.integers(1, 7)).tolist()))
    return [[*name, END] for name in sorted(found, key=lambda name: hash((seed, name)))]


def made_prompts(seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(3, 200, size).astype(np.int64) for size in (7, 3, 12, 7, 5)]


def by_hand(model, prompt, names) -> np.ndarray:
    """[items, 2] log-probability of each name under the full vocabulary, and over the trie."""
    found = []
    for name in names:
        ids = torch.tensor([*prompt.tolist(), *name])[None]
        with torch.no_grad():
            logp = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].double().log_softmax(-1)
        plain = sum(float(logp[place, token]) for place, token in enumerate(name))
        left = 0.0
        for place in range(len(name)):
            may_follow = {each[place] for each in names if each[:place] == name[:place]}
            left += float(logp[place, sorted(may_follow)].logsumexp(0))
        found.append((plain, plain - left))
    return np.array(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_beam_of_all_items_ranks_them_as_their_whole_names_are_scored(make_bench, kind):
    model, names, prompts = make_bench(kind).model.double(), made_names(), made_prompts()
    trie = build_name_trie(names, CPU)
    assert len({len(name) for name in names}) > 3
    beams = name_search(model, trie, prompts, beam=len(names))
    for user, prompt in enumerate(prompts):
        expected = by_hand(model, prompt, names)[:, 0]
        best = np.argsort(-expected)
        assert beams.leaves[user].tolist() == best.tolist()
        np.testing.assert_allclose(beams.scores[user], expected[best], rtol=1e-6)
    targets = np.array([[4], [29], [0], [11], [7]])
    ranks = rank_relevant(beams, trie, targets)
    places = [np.sum(s > s[t[0]]) for s, t in zip(
        [by_hand(model, prompt, names)[:, 0] for prompt in prompts], targets, strict=True
    )]  # fmt: skip
    assert ranks.num_better.tolist() == places
    assert not ranks.num_tied.any()


def small_beam(model, prompt, names, beam):
    """The beam's rule, token by token over tuples: finished names stay among the best."""
    scored = {(): 0.0}
    for _ in range(max(map(len, names))):
        going = {}
        for name, total in scored.items():
            if name in {tuple(each) for each in names}:
                going[name] = total
                continue
            ids = torch.tensor([*prompt.tolist(), *name])[None]
            with torch.no_grad():
                logp = model(input_ids=ids).logits[0, -1].double().log_softmax(-1)
            for token in {each[len(name)] for each in names if tuple(each[: len(name)]) == name}:
                going[*name, token] = total + float(logp[token])
        scored = dict(sorted(going.items(), key=lambda pair: -pair[1])[:beam])
    return scored


@pytest.mark.parametrize("beam", [1, 3, 8])
def test_a_small_beam_keeps_what_the_rule_keeps(make_bench, beam):
    model, names = make_bench("qwen3").model.double(), made_names()
    beams = name_search(model, build_name_trie(names, CPU), made_prompts(), beam)
    for user, prompt in enumerate(made_prompts()):
        expected = small_beam(model, prompt, names, beam)
        assert [tuple(names[item]) for item in beams.leaves[user]] == list(expected)
        np.testing.assert_allclose(beams.scores[user], list(expected.values()), rtol=1e-6)


@pytest.mark.parametrize("side_by_side", [True, False])
def test_other_ways_of_reading_find_the_same(make_bench, monkeypatch, side_by_side):
    bench, names, prompts = make_bench("tied"), made_names(), made_prompts()
    trie, model = build_name_trie(names, CPU), bench.model.double()
    expected = name_search(model, trie, prompts, 6)
    nll = name_nll(model, trie, prompts, [np.array([3, 9])] * 5)
    from gti.search import reading

    monkeypatch.setattr(reading, "knows_layers", lambda *_: False)
    for place in (module, __import__("gti.search.likelihood", fromlist=["x"])):
        monkeypatch.setattr(place, "knows_layers", lambda *_: False)
    if not side_by_side:
        monkeypatch.setattr(reading, "why_not_side_by_side", lambda model: "for the test")
    found = name_search(model, trie, prompts, 6)
    np.testing.assert_array_equal(found.leaves, expected.leaves)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
    again = name_nll(model, trie, prompts, [np.array([3, 9])] * 5)
    np.testing.assert_allclose(again.nll, nll.nll, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_nll_of_names_is_that_of_plain_logits_and_sums_to_one_over_the_trie(make_bench, kind):
    model, names, prompts = make_bench(kind).model.double(), made_names(), made_prompts()
    trie = build_name_trie(names, CPU)
    targets = [np.arange(30), np.array([5]), np.array([1, 1, 8]), np.array([], int), np.array([2])]
    found = name_nll(model, trie, prompts, targets)
    expected = np.concatenate(
        [-by_hand(model, p, names)[items] for p, items in zip(prompts, targets, strict=True)]
    )
    np.testing.assert_allclose(np.stack([found.nll, found.trie_nll], 1), expected, rtol=1e-9)
    assert np.exp(-found.trie_nll[:30]).sum() == pytest.approx(1.0, abs=1e-9)


def test_names_of_one_length_are_searched_as_semantic_ids_are(make_bench):
    bench = make_bench("tied")
    first = np.unique(bench.sids.codes, axis=0, return_index=True)[1]
    own = [bench.prompter.sid_ids[item].tolist() for item in first]
    prompts = [bench.prompter.retrieval_prompt(np.array(h)) for h in ([5, 1, 3], [9], [30, 4])]
    trie, known = build_name_trie(own, CPU), build_trie(bench.sids, bench.vocabulary, CPU)
    found, expected = (f(bench.model, t, prompts, 10) for f, t in (
        (name_search, trie), (beam_search, known)
    ))  # fmt: skip
    np.testing.assert_array_equal(known.leaf_of[first][found.leaves], expected.leaves)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    asked = [np.array([0, 2]), np.array([1]), np.array([3])]
    one = name_nll(bench.model, trie, prompts, asked)
    other = target_nll(bench.model, known, prompts, [first[items] for items in asked])
    np.testing.assert_allclose(one.nll, other.nll, rtol=1e-5)
    np.testing.assert_allclose(one.trie_nll, other.trie_nll, rtol=1e-5)


def test_users_are_found_alike_in_batches_of_any_size_and_bfloat16_runs(make_bench):
    model, trie = make_bench("tied").model, build_name_trie(made_names(), CPU)
    whole, apart = (name_search(model, trie, made_prompts(), 5, max_tokens=n) for n in (10**6, 1))
    np.testing.assert_array_equal(whole.leaves, apart.leaves)
    np.testing.assert_allclose(whole.scores, apart.scores, rtol=1e-5)
    rough = name_search(model, trie, made_prompts(), 5, dtype="bfloat16")
    np.testing.assert_allclose(rough.scores, whole.scores, rtol=0.05)


def test_places_among_peers_are_those_of_all_their_names(make_bench):
    model, names, prompts = make_bench("tied").model.double(), made_names(), made_prompts()[:2]
    kinds = [("warm", "new")[item % 2] for item in range(30)]
    peers = Peers(kinds, ("new",), lambda items: build_name_trie([names[i] for i in items], CPU))
    search = partial(exact_name_search)
    found = peers.rank(
        search, model, prompts, [np.array([3]), np.array([4, 9])], max_tokens=4096, dtype="float32"
    )
    own = np.arange(1, 30, 2)
    scores = [by_hand(model, prompt, names)[:, 0] for prompt in prompts]
    expected = [np.sum(scores[0][own] > scores[0][3]), 0, np.sum(scores[1][own] > scores[1][9])]
    assert found.peers.tolist() == [14, 0, 14]
    assert found.peers_better.tolist() == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([[5, END], [END], []], "item 2 has an empty name"),
        ([[5, END], [6, END], [5, END]], "the name of item 0 is that of item 2"),
        ([[5, 6], [7, END], [5, 6, END]], "the name of item 0 .* begins with"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(names, message):
    with pytest.raises(NamesError, match=message):
        build_name_trie(names, CPU)
