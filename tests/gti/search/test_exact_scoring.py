"""Exact scoring against each item scored alone by a plain forward pass, and against wide beams."""

import numpy as np
import pytest
import torch

from gti.data.semantic_ids import SemanticIds
from gti.search.decoding import beam_search, build_trie
from gti.search.exact_scoring import exact_search
from gti.search.target_ranks import rank_targets


def trie_of(bench):
    return build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))


def leaf_scores(bench, trie, prompts, nodes):
    """[users, leaves] all scores, of a list as long as the trie has leaves."""
    beams = exact_search(bench.model, trie, prompts, trie.num_leaves, nodes=nodes)
    scores = np.empty_like(beams.scores)
    np.put_along_axis(scores, beams.leaves, beams.scores, axis=1)
    return torch.from_numpy(scores)


def one_by_one(bench, prompt):
    """[items] log-probabilities, each by a forward pass of its own over prompt and codes."""
    scores = []
    for codes in bench.prompter.sid_ids:
        ids = torch.tensor(np.concatenate([prompt, codes]))[None]
        with torch.no_grad():
            logp = bench.model(input_ids=ids).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) - 1 + len(codes))
        scores.append(sum(logp[place, code] for place, code in zip(places, codes, strict=True)))
    return torch.stack(scores)


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
@pytest.mark.parametrize("style", ["sequence", "chat"])
@pytest.mark.parametrize("nodes", [3, 256])
def test_every_item_scores_as_it_does_alone(make_bench, kind, style, nodes):
    bench = make_bench(kind, style)
    bench.model.double()
    trie = trie_of(bench)
    prompts = [bench.prompter.retrieval_prompt(np.array(h)) for h in ([5, 1, 3], [9, 2, 30])]
    found = leaf_scores(bench, trie, prompts, nodes)
    for user, prompt in enumerate(prompts):
        # Computed in float64; the list holds them in float32.
        alone = one_by_one(bench, prompt).float()
        torch.testing.assert_close(found[user, trie.leaf_of], alone, rtol=2e-7, atol=0)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_any_number_of_levels_is_walked(make_bench, levels):
    # The bench's 24 tokens, dealt out over other numbers of levels.
    bench = make_bench()
    bench.model.double()
    rng = np.random.default_rng(levels)
    codes = rng.integers(0, 24 // levels, size=(15, levels))
    trie = build_trie(
        SemanticIds(codes, 24 // levels, None, {}), bench.vocabulary, torch.device("cpu")
    )
    bench.prompter.sid_ids = np.stack(
        [[int(trie.tokens[level][code]) for level, code in enumerate(row)] for row in codes]
    )
    prompt = bench.vocabulary.text_ids[:5].numpy()
    found = leaf_scores(bench, trie, [prompt], nodes=4)
    alone = one_by_one(bench, prompt).float()
    torch.testing.assert_close(found[0, trie.leaf_of], alone, rtol=2e-7, atol=0)


def test_the_list_is_that_of_a_beam_without_end(make_bench):
    bench = make_bench("qwen3", "chat")
    trie = trie_of(bench)
    rng = np.random.default_rng(2)
    prompts = [bench.prompter.retrieval_prompt(rng.integers(0, 40, n)) for n in (3, 1, 4, 3)]
    wide = beam_search(bench.model, trie, prompts, 64)
    exact = exact_search(bench.model, trie, prompts, 64, nodes=5)
    assert np.array_equal(exact.leaves, wide.leaves)  # −1 beyond the leaves there are, as there
    np.testing.assert_allclose(exact.scores, wide.scores, atol=2e-4)
    np.testing.assert_allclose(exact.trie_mass, wide.trie_mass, atol=1e-6)
    short = exact_search(bench.model, trie, prompts, 7)
    assert np.array_equal(short.leaves, wide.leaves[:, :7])
    # Items 3 and 7 share a Semantic ID: they tie wherever they stand.
    both = [rank_targets(exact, trie, np.full(4, item)) for item in (3, 7)]
    assert both[0].num_better.tolist() == both[1].num_better.tolist()
    assert all((ranks.num_tied >= 1).all() for ranks in both)


def test_a_narrow_beam_can_lose_the_best_item_and_exact_scoring_does_not(make_bench):
    bench = make_bench()
    trie = trie_of(bench)
    rng = np.random.default_rng(0)
    prompts = [bench.prompter.retrieval_prompt(rng.integers(0, 40, 3)) for _ in range(20)]
    narrow = beam_search(bench.model, trie, prompts, 1)
    exact = exact_search(bench.model, trie, prompts, 1)
    lost = narrow.leaves[:, 0] != exact.leaves[:, 0]
    assert lost.any()
    assert (exact.scores[lost, 0] > narrow.scores[lost, 0]).all()
    np.testing.assert_allclose(exact.scores[~lost], narrow.scores[~lost], atol=2e-4)
