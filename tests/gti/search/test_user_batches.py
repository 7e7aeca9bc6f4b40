"""Batches of users: their bounds, and what is found where memory does not suffice for them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gti.search import decoding, exact_scoring
from gti.search.decoding import beam_search, build_trie
from gti.search.exact_scoring import exact_search
from gti.search.user_batches import MORE, SPREAD, SearchMemoryError, length_batches, run_in_batches

CPU = torch.device("cpu")
ERRORS = {
    "accelerator": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "processor": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory:"
        " you tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "array": MemoryError("Unable to allocate 8.00 GiB for an array"),
}
SEARCHES = {"beam": (beam_search, decoding), "exact": (exact_search, exact_scoring)}


@given(
    sizes=st.lists(st.integers(1, 60), max_size=40),
    max_tokens=st.integers(1, 400),
    extra=st.integers(0, 20),
    alike=st.booleans(),
)
def test_batches_hold_every_user_once_and_keep_their_bounds(sizes, max_tokens, extra, alike):
    prompts = [np.zeros(size, dtype=np.int64) for size in sizes]
    batches = [batch.tolist() for batch in length_batches(prompts, max_tokens, extra, alike)]
    assert sorted(user for batch in batches for user in batch) == list(range(len(sizes)))
    for batch in batches:
        held = [sizes[user] for user in batch]
        assert len(batch) == 1 or len(batch) * (max(held) + extra) <= max_tokens
        assert max(held) <= (min(held) if alike else SPREAD * min(held) + MORE)


@given(
    sizes=st.lists(st.integers(1, 60), max_size=40),
    memory=st.integers(80, 2000),
    extra=st.integers(0, 20),
    alike=st.booleans(),
)
def test_every_user_is_run_once_whatever_memory_there_is(sizes, memory, extra, alike):
    prompts = [np.full(size, size, dtype=np.int64) for size in sizes]
    seen, failed = [], []

    def run(chosen, ids, lengths):
        needed = len(ids) * (ids.shape[1] + extra)
        if needed > memory:
            failed.append(needed)
            raise torch.OutOfMemoryError("no memory left")
        assert lengths.tolist() == [sizes[user] for user in chosen]
        assert ids.amax(dim=1).tolist() == lengths.tolist()
        seen.extend(chosen.tolist())

    cut_to = run_in_batches(run, prompts, 1600, extra, alike=alike, device=CPU)
    assert sorted(seen) == list(range(len(sizes)))
    assert [sizes[user] for user in seen] == sorted(sizes)
    assert cut_to == (failed[-1] // 2 if failed else None)
    assert all(later <= earlier // 2 for earlier, later in pairwise(failed))


def searched(bench, kind, sizes=(9, 2, 10, 9, 3, 9, 9), **options):
    rng = np.random.default_rng(5)
    prompts = [bench.prompter.retrieval_prompt(rng.integers(0, 40, n)) for n in sizes]
    trie = build_trie(bench.sids, bench.vocabulary, CPU)
    return SEARCHES[kind][0](bench.model, trie, prompts, 20, **options)


def scarce(monkeypatch, kind, users, error):
    """Reading more than `users` prompts at once fails with `error`; the sizes that were asked."""
    asked = []
    read = SEARCHES[kind][1].read

    def limited(model, ids, *others):
        asked.append(len(ids))
        if len(ids) > users:
            raise error
        return read(model, ids, *others)

    monkeypatch.setattr(SEARCHES[kind][1], "read", limited)
    return asked


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("kind", SEARCHES)
def test_out_of_memory_halves_the_users_and_leaves_lists_and_scores(
    make_bench, exact, kind, error, monkeypatch
):
    bench = make_bench("qwen3")
    exact(bench.model)
    plenty = searched(bench, kind)
    assert plenty.cut_to is None
    asked = scarce(monkeypatch, kind, 1, error)
    little = searched(bench, kind)
    assert little.leaves.tolist() == plenty.leaves.tolist()  # none is shorter than the beam
    assert (little.leaves >= 0).all()
    np.testing.assert_allclose(little.scores, plenty.scores, rtol=1e-6)
    np.testing.assert_allclose(little.trie_mass, plenty.trie_mass, rtol=1e-9)
    assert 0 < little.cut_to < 16384
    assert asked.count(1) == 7
    assert asked[0] > 1


@pytest.mark.parametrize("kind", SEARCHES)
def test_one_user_who_does_not_fit_is_an_error_with_a_way_out(make_bench, kind, monkeypatch):
    bench = make_bench()
    asked = scarce(monkeypatch, kind, 0, ERRORS["accelerator"])
    with pytest.raises(SearchMemoryError, match=r"for 7 user.*one at a time.*max_history"):
        searched(bench, kind)
    assert asked[-1] == 1


@pytest.mark.parametrize("kind", SEARCHES)
def test_another_error_is_not_taken_for_lack_of_memory(make_bench, kind, monkeypatch):
    asked = scarce(monkeypatch, kind, 0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        searched(make_bench(), kind)
    assert len(asked) == 1
