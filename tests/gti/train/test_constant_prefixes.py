"""Constants behind prefixes: values against a plain forward pass, and what is kept."""

import numpy as np
import pytest
import torch

from gti.model.compute import Computing
from gti.train import constant_prefixes
from gti.train.constant_prefixes import ConstantPrefixes, Run, common_lead
from gti.train.packed_attention import packed_attending

TOKEN = 2 * 2 * 2 * 8 * 8
"""Bytes per token: layers x (keys, values) x kv heads x head dimension x float64."""


def ids_of(*numbers):
    return np.array(numbers, dtype=np.int64)


A, B, C = ids_of(5, 6, 7, 8), ids_of(5, 6, 9, 10, 11), ids_of(40, 41)
COMING = [("x", A), ("x", B), ("x", A), ("y", C), ("y", C), ("y", C)]


def prefixes_of(bench, bound=None, coming=COMING):
    bench.model.double()
    matrices = (bench.embedding.detach(), bench.head.detach())
    return ConstantPrefixes(
        Computing(bench.model, "float32"), matrices, bench.vocabulary.new_ids, coming, bound=bound
    )


def get(store, *wanted):
    with packed_attending(store.model):
        found, runs = store.get({ids.tobytes(): ids for ids in wanted})
    return [found[ids.tobytes()] for ids in wanted], runs


def test_what_all_begin_with_is_their_lead_but_never_a_whole_one():
    assert common_lead([A, B]).tolist() == [5, 6]
    assert common_lead([A, A[:3], A[:2]]).tolist() == [5]
    assert common_lead([A, C]).tolist() == []
    assert common_lead([A]).tolist() == []


@pytest.mark.parametrize("bound", [0, 5 * TOKEN, None])
def test_states_are_those_of_a_plain_forward_pass(make_bench, bound):
    bench = make_bench("untied")
    store = prefixes_of(bench, bound)
    for _ in range(2):
        found, _ = get(store, A, C, B)
        for ids, prefix in zip((A, C, B), found, strict=True):
            with torch.no_grad():
                plain = bench.model.base_model(torch.from_numpy(ids)[None], use_cache=True)
                logits = plain.last_hidden_state[0, -1] @ bench.head.T
            logits[bench.vocabulary.new_ids] = -torch.inf
            torch.testing.assert_close(prefix.hidden, plain.last_hidden_state[0, -1])
            torch.testing.assert_close(prefix.others, logits.logsumexp(0))
            keys = plain.past_key_values.layers[1].keys[0].transpose(0, 1)
            torch.testing.assert_close(prefix.behind.layers[1][0][prefix.behind.places], keys)


def test_what_comes_again_is_run_once_and_what_comes_once_is_not_kept(make_bench):
    store = prefixes_of(make_bench("tied"))
    _, runs = get(store, A, C)
    assert runs == [Run(2, 0, 0), Run(2, 2, 1), Run(2, 0, 1)]  # the lead, A behind it, C
    _, runs = get(store, B, C)
    assert runs == [Run(3, 2, 1)]
    _, runs = get(store, A, B)
    assert runs == [Run(3, 2, 1)]


def test_the_most_used_are_kept_first_and_nothing_beyond_the_bound(make_bench):
    store = prefixes_of(make_bench("tied"), bound=5 * TOKEN)  # lead 2, C 2; A's 2 do not fit
    get(store, A, C)
    _, runs = get(store, A, C)
    assert runs == [Run(2, 2, 1)]
    kept = sum(states.nbytes for layer in store._pool for states in layer)
    assert kept == 4 * TOKEN
    store = prefixes_of(make_bench("tied"), bound=0)
    get(store, A, C)
    _, runs = get(store, A, C)
    assert runs == [Run(4, 0, 1), Run(2, 0, 1)]


def no_room(monkeypatch, layers):
    """`new_zeros` finds no memory after `layers` layers' keys and values; the sizes asked for."""
    asked = []
    plain = torch.Tensor.new_zeros

    def scarce(self, *shape, **options):
        asked.append(shape)
        if len(asked) > 2 * layers:
            raise torch.OutOfMemoryError("no memory left")
        return plain(self, *shape, **options)

    monkeypatch.setattr(torch.Tensor, "new_zeros", scarce)
    return asked


@pytest.mark.parametrize("layers", [0, 1])
def test_a_pool_that_does_not_fit_is_done_without(make_bench, layers, monkeypatch):
    expected, _ = get(prefixes_of(make_bench("tied")), A, C, B)
    store = prefixes_of(make_bench("tied"))
    asked = no_room(monkeypatch, layers)
    for _ in range(2):
        found, runs = get(store, A, C, B)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours.hidden, theirs.hidden)
            torch.testing.assert_close(ours.others, theirs.others)
    assert runs == [Run(4, 0, 1), Run(2, 0, 1), Run(5, 0, 1)]  # nothing is kept, no lead either
    assert len(asked) == 2 * layers + 1  # not tried again
    assert (store.gave_up, store.bound) == (True, 0)


def test_another_error_on_the_way_to_a_pool_goes_through(make_bench, monkeypatch):
    store = prefixes_of(make_bench("tied"))

    def broken(self, *shape, **options):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(torch.Tensor, "new_zeros", broken)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        get(store, A, C)
    assert not store.gave_up


def test_what_was_not_copied_whole_is_not_kept(make_bench, monkeypatch):
    store = prefixes_of(make_bench("tied"))
    get(store, C)
    copies = []
    plain = torch.Tensor.__setitem__

    def scarce(self, index, value):
        copies.append(index)
        if len(copies) == 2:
            raise torch.OutOfMemoryError("no memory left")
        plain(self, index, value)

    with monkeypatch.context() as patched:
        patched.setattr(torch.Tensor, "__setitem__", scarce)
        patched.setattr("gti.train.constant_prefixes.ConstantPrefixes._run", kept_run(store, A))
        with pytest.raises(torch.OutOfMemoryError):
            get(store, A)
    (found,), runs = get(store, A)
    assert runs == [Run(2, 2, 1)]
    (expected,), _ = get(prefixes_of(make_bench("tied")), A)
    keys = [prefix.behind.layers[1][0][prefix.behind.places] for prefix in (found, expected)]
    torch.testing.assert_close(*keys)


def kept_run(store, ids):
    """What running `ids` gives, found beforehand."""
    with packed_attending(store.model), torch.no_grad():
        found = store._run({ids.tobytes(): ids})
    return lambda self, prefixes: found


def test_giving_up_frees_what_is_kept_and_says_whether_there_was_any(make_bench):
    store = prefixes_of(make_bench("tied"))
    get(store, A, C)
    assert store.give_up()
    assert not store.give_up()
    assert store._pool == []
    found, runs = get(store, A, C)
    assert runs == [Run(4, 0, 1), Run(2, 0, 1)]
    expected, _ = get(prefixes_of(make_bench("tied"), bound=0), A, C)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.hidden, theirs.hidden)


@pytest.mark.parametrize(
    ("available", "kept"),
    [(0, 1 << 27), (3 << 30, 1 << 29), (20 << 30, 1 << 32), (1 << 40, 1 << 32)],
)
def test_copies_keep_as_much_as_memory_allows_and_float32_what_it_always_kept(
    monkeypatch, available, kept
):
    monkeypatch.setattr(constant_prefixes, "available_bytes", lambda: available)
    cpu = torch.device("cpu")
    assert constant_prefixes.most_bytes(cpu, True) == kept
    assert constant_prefixes.most_bytes(cpu, False) == 1 << 27
