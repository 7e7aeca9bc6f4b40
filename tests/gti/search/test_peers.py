"""Places among peers against every item scored alone by a plain forward pass."""

from functools import partial

import numpy as np
import pytest
import torch

from gti.plain import PLAIN
from gti.search.decoding import trie_of_items
from gti.search.exact_scoring import exact_search
from gti.search.peers import Peers

KINDS = ("warm", "cold", "new")


@pytest.fixture(params=["tied", "untied"])
def asked(request, make_bench):
    """A bench in float64, its items' kinds, two prompts and their targets."""
    bench = make_bench(request.param, "chat")
    bench.model.double()
    kinds = [KINDS[item % 3] for item in range(bench.sids.num_items)]
    prompts = [bench.prompter.retrieval_prompt(np.array(h)) for h in ([5, 1, 3], [9, 2, 30, 4])]
    # Of all kinds, in any order: "warm" has no peers.
    return bench, kinds, prompts, [np.array([4, 0, 2, 5]), np.array([7, 8])]


def peers_of(bench, kinds):
    build = partial(trie_of_items, bench.sids, bench.vocabulary, torch.device("cpu"))
    return Peers(kinds, ("cold", "new"), build)


def alone(bench, prompt):
    """[items] log-probabilities, each by a forward pass of its own over prompt and codes."""
    scores = []
    for codes in bench.prompter.sid_ids:
        ids = torch.tensor(np.concatenate([prompt, codes]))[None]
        with torch.no_grad():
            found = bench.model(input_ids=ids).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) - 1 + len(codes))
        scores.append(sum(found[place, code] for place, code in zip(places, codes, strict=True)))
    return torch.stack(scores).numpy()


@pytest.mark.parametrize("search", [exact_search, PLAIN.exact_search])
def test_targets_stand_where_scoring_every_item_alone_puts_them(asked, search):
    bench, kinds, prompts, targets = asked
    peers = peers_of(bench, kinds)
    found = peers.rank(search, bench.model, prompts, targets, max_tokens=400, dtype="float64")
    rows = iter(range(len(found.peers)))
    for prompt, items in zip(prompts, targets, strict=True):
        scores = alone(bench, prompt)
        for item in items:
            row = next(rows)
            if kinds[item] == "warm":
                counts = (found.peers, found.peers_better, found.peers_tied)
                assert not any(each[row] for each in counts)
                continue
            own = [i for i, kind in enumerate(kinds) if kind == kinds[item]]
            codes = bench.sids.codes
            same = [i for i in own if (codes[i] == codes[item]).all()]
            above = [i for i in own if i not in same and scores[i] > scores[item] + 1e-6]
            assert found.peers[row] == len(own) - 1
            assert (found.peers_better[row], found.peers_tied[row]) == (len(above), len(same) - 1)


def test_equal_rows_tie_all_peers_whose_prefixes_are_as_likely(asked):
    bench, kinds, prompts, targets = asked
    for matrices in (bench.model.get_input_embeddings(), bench.model.get_output_embeddings()):
        with torch.no_grad():
            matrices.weight[bench.vocabulary.new_ids] = matrices.weight[0].clone()
    found = peers_of(bench, kinds).rank(
        exact_search, bench.model, prompts, targets, max_tokens=400, dtype="float64"
    )
    assert not found.peers_better.any()
    assert (found.peers_tied == found.peers).all()
