"""Beam search against the library's own constrained generation and against scoring every item."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gti.data.semantic_ids import SemanticIds
from gti.plain import plain_search
from gti.search.decoding import Beams, Trie, beam_search, build_trie
from gti.search.target_ranks import rank_relevant, rank_targets
from gti.search.user_batches import length_batches


def histories(count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 40, size=rng.integers(1, 5)) for _ in range(count)]


def score_of_item(bench, prompt: np.ndarray, item: int) -> float:
    """Sum of full-vocabulary log-probabilities of one item's codes, by a plain forward pass."""
    codes = bench.prompter.sid_ids[item]
    ids = torch.tensor(np.concatenate([prompt, codes]))[None]
    logp = bench.model(input_ids=ids).logits[0].float().log_softmax(-1)
    start = len(prompt) - 1
    return float(sum(logp[start + level, code] for level, code in enumerate(codes)))


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
def test_a_full_beam_scores_every_item_as_a_plain_forward_pass_does(make_bench, kind):
    bench = make_bench(kind)
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    prompts = [bench.prompter.retrieval_prompt(h) for h in histories(3)]
    beams = beam_search(bench.model, trie, prompts, beam=64)
    for user, prompt in enumerate(prompts):
        pairs = zip(beams.leaves[user], beams.scores[user], strict=True)
        found = {leaf: score for leaf, score in pairs if leaf >= 0}
        assert len(found) == trie.num_leaves == bench.sids.distinct
        with torch.no_grad():
            for item in range(bench.sids.num_items):
                expected = score_of_item(bench, prompt, item)
                assert found[trie.leaf_of[item]] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("kind", ["tied", "qwen3"])
def test_beams_equal_the_librarys_constrained_beam_search(make_bench, kind):
    bench = make_bench(kind)
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    beam = 5
    prompts = [bench.prompter.retrieval_prompt(h) for h in histories()]
    ours = beam_search(bench.model, trie, prompts, beam)
    prefixes: dict[tuple[int, ...], set[int]] = {}
    for codes in bench.prompter.sid_ids:
        for level in range(3):
            prefixes.setdefault(tuple(codes[:level]), set()).add(int(codes[level]))
    item_of = {tuple(codes): i for i, codes in enumerate(bench.prompter.sid_ids)}
    for user, prompt in enumerate(prompts):

        def allowed(_, ids, start=prompt):
            return sorted(prefixes[tuple(ids[len(start) :].tolist())])

        out = bench.model.generate(
            torch.tensor(prompt)[None],
            # Given in full: the library would otherwise guess it from the padding token, which
            # is the first token of the prompt here.
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            num_beams=beam,
            num_return_sequences=beam,
            max_new_tokens=3,
            min_new_tokens=3,
            do_sample=False,
            prefix_allowed_tokens_fn=allowed,
            eos_token_id=None,
            pad_token_id=0,
        )
        theirs = [trie.leaf_of[item_of[tuple(row[len(prompt) :].tolist())]] for row in out]
        # The library renormalises nothing either: same order of the same leaves.
        assert ours.leaves[user].tolist() == [int(leaf) for leaf in theirs]


def test_results_do_not_depend_on_how_users_are_batched(make_bench):
    bench = make_bench()
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    prompts = [bench.prompter.retrieval_prompt(h) for h in histories(8)]
    together = beam_search(bench.model, trie, prompts, 10)
    for user, prompt in enumerate(prompts):
        alone = beam_search(bench.model, trie, [prompt], 10)
        assert alone.leaves[0].tolist() == together.leaves[user].tolist()
        np.testing.assert_allclose(alone.scores[0], together.scores[user], atol=1e-4)


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
def test_histories_of_several_lengths_in_one_batch_find_what_each_finds_alone(
    make_bench, exact, kind
):
    bench = make_bench(kind)
    model = exact(bench.model)
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    rng = np.random.default_rng(4)
    sizes = (19, 18, 20, 17, 20)
    prompts = [bench.prompter.retrieval_prompt(rng.integers(0, 40, n)) for n in sizes]
    assert len(list(length_batches(prompts, 16384, 40, alike=False))) == 1
    together = beam_search(model, trie, prompts, 20)
    for user, prompt in enumerate(prompts):
        alone = plain_search(model, trie, [prompt], 20)
        assert np.array_equal(together.leaves[user], alone.leaves[0])
        np.testing.assert_allclose(together.scores[user], alone.scores[0], rtol=1e-6)
        np.testing.assert_allclose(together.trie_mass[user], alone.trie_mass[0], rtol=1e-9)


def test_a_beam_wider_than_the_trie_is_marked_as_not_full(make_bench):
    bench = make_bench()
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    prompts = [bench.prompter.retrieval_prompt(np.array([1, 2]))]
    beams = beam_search(bench.model, trie, prompts, 100)
    ranks = rank_targets(beams, trie, np.array([5]))
    assert ranks.beam_used.tolist() == [trie.num_leaves]
    assert (beams.leaves[0] == -1).sum() == 100 - trie.num_leaves
    assert ranks.num_better[0] >= 0


def test_trie_mass_is_the_probability_of_what_the_trie_allows(make_bench):
    bench = make_bench()
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    prompt = bench.prompter.retrieval_prompt(np.array([1, 2]))
    beams = beam_search(bench.model, trie, [prompt], 4)
    best = int(trie.items_of[trie.leaf_start[beams.leaves[0, 0]]])
    codes = bench.prompter.sid_ids[best]
    for level in range(3):
        ids = torch.tensor(np.concatenate([prompt, codes[:level]]))[None]
        with torch.no_grad():
            p = bench.model(input_ids=ids).logits[0, -1].softmax(-1)
        fits = (bench.prompter.sid_ids[:, :level] == codes[:level]).all(axis=1)
        allowed = sorted({int(c) for c in bench.prompter.sid_ids[fits, level]})
        assert beams.trie_mass[0, level] == pytest.approx(float(p[allowed].sum()), abs=1e-5)


def test_counts_share_ties_and_leave_out_removed_items(make_bench):
    codes = np.array([[0, 0], [0, 1], [0, 1], [1, 0], [1, 1]])
    sids = SemanticIds(codes, 2, None, {})
    bench = make_bench()
    vocabulary = replace(bench.vocabulary, new_ids=torch.arange(4))
    trie = build_trie(sids, vocabulary, torch.device("cpu"))
    # Leaves in order: (0,0) (0,1) (1,0) (1,1); scores tie leaf 2 with leaf 0; leaf 3 is outside.
    beams = Beams(
        np.array([[1, 0, 2]]), np.array([[-1.0, -2.0, -2.0]], np.float32), np.ones((1, 2))
    )

    def counts(target, removed=None):
        ranks = rank_targets(beams, trie, np.array([target]), removed)
        return int(ranks.num_better[0]), int(ranks.num_tied[0])

    assert counts(1) == (0, 1)  # its twin, item 2
    assert counts(0) == (2, 1)  # two items above, item 3 level with it
    assert counts(4) == (-1, -1)
    assert counts(0, [np.array([1, 3])]) == (1, 0)
    assert counts(1, [np.array([1, 2])]) == (0, 0)  # the target itself always stays


def test_counts_of_several_relevant_items_are_those_of_a_list_of_all_items():
    rng = np.random.default_rng(0)
    for _ in range(60):
        num_items, num_leaves = 20, int(rng.integers(4, 16))
        leaf_of = np.concatenate(
            [np.arange(num_leaves), rng.integers(0, num_leaves, num_items - num_leaves)]
        )
        starts = np.concatenate([[0], np.cumsum(np.bincount(leaf_of))])
        trie = Trie((), (), np.argsort(leaf_of, kind="stable"), starts, leaf_of)
        width = int(rng.integers(1, num_leaves + 1))
        leaves = np.full((1, num_leaves), -1)
        scores = np.full((1, num_leaves), -np.inf, dtype=np.float32)
        leaves[0, :width] = rng.permutation(num_leaves)[:width]
        scores[0, :width] = -np.sort(rng.integers(0, 4, width))
        beams = Beams(leaves, scores, np.zeros((1, 2)))
        relevant = rng.permutation(num_items)[: int(rng.integers(1, 9))]
        found = rank_relevant(beams, trie, [relevant])
        by_leaf = dict(zip(leaves[0].tolist(), scores[0].tolist(), strict=True))
        ranked = [by_leaf[leaf] for leaf in leaf_of.tolist() if leaf in by_leaf]
        for item, better, tied in zip(
            relevant.tolist(), found.num_better.tolist(), found.num_tied.tolist(), strict=True
        ):
            own = by_leaf.get(int(leaf_of[item]))
            expected = (-1, -1) if own is None else (
                sum(score > own for score in ranked), ranked.count(own) - 1
            )  # fmt: skip
            assert (better, tied) == expected
