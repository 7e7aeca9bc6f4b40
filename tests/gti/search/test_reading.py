"""Prompts read layer by layer, and tokens behind them, against plain passes of the whole model."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gti.plain import plain_search
from gti.search import layer_reading, reading
from gti.search.decoding import beam_search, build_trie
from gti.search.exact_scoring import exact_search
from gti.search.reading import (
    LayerReading,
    LibraryReading,
    PlainReading,
    knows_layers,
    why_not_layerwise,
)

KINDS = ["tied", "untied", "qwen3", "gemma3", "mistral"]
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def drawn(lengths, rows=300):
    """Right-padded prompts of these lengths; what pads is no real token's business."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, rows, (len(lengths), max(lengths)), generator=generator)
    return ids, torch.tensor(lengths)


def plain_state(model, tokens):
    """[d] state of the last of `tokens`, read alone."""
    return model.base_model(input_ids=torch.tensor(tokens)[None]).last_hidden_state[0, -1]


def two_levels(read, lengths):
    """Three tokens side by side behind each prompt, then four behind those: ids, parents, states.

    Two more are read and dropped in between.
    """
    generator = torch.Generator().manual_seed(6)
    first = torch.randint(0, 300, (len(lengths), 3), generator=generator)
    second = torch.randint(0, 300, (len(lengths), 4), generator=generator)
    parent = torch.tensor([2, 0, 2, 1])
    own = torch.eye(3, dtype=torch.bool)
    upper = read.step(first, 0, own[None])
    lost = torch.cat([own[:2], torch.eye(2, dtype=torch.bool)], dim=1)
    read.step(first[:, :2], 1, lost[None])
    read.drop(2)
    seen = torch.cat([own[parent], torch.eye(4, dtype=torch.bool)], dim=1)
    lower = read.step(second, 1, seen.expand(len(lengths), -1, -1))
    return first, second, parent, upper, lower


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[7, 7, 7], [5, 9, 8, 1]])
@pytest.mark.parametrize("part", [20, 4096])
def test_states_are_those_of_each_sequence_read_alone(
    make_bench, exact, monkeypatch, kind, lengths, part
):
    monkeypatch.setitem(layer_reading.PART_TOKENS, "cpu", part)
    model = exact(make_bench(kind).model)
    ids, sizes = drawn(lengths)
    with torch.inference_mode():
        read = LayerReading(model, ids, sizes, 7)
        first, second, parent, upper, lower = two_levels(read, lengths)
        for user, length in enumerate(lengths):
            prompt = ids[user, :length].tolist()
            torch.testing.assert_close(read.hidden[user, 0], plain_state(model, prompt), **CLOSE)
            for place, token in enumerate(first[user].tolist()):
                alone = plain_state(model, [*prompt, token])
                torch.testing.assert_close(upper[user, place], alone, **CLOSE)
            for place, token in enumerate(second[user].tolist()):
                before = int(first[user, parent[place]])
                alone = plain_state(model, [*prompt, before, token])
                torch.testing.assert_close(lower[user, place], alone, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [20, 4096])
def test_a_common_lead_read_once_gives_the_same_states(make_bench, exact, monkeypatch, kind, part):
    monkeypatch.setitem(layer_reading.PART_TOKENS, "cpu", part)
    model = exact(make_bench(kind).model)
    lengths = [7, 9, 5]
    ids, sizes = drawn(lengths)
    ids[:, :4] = ids[0, :4]
    with torch.inference_mode():
        ways = [LayerReading(model, ids, sizes, 9, share) for share in (True, False)]
        assert [way.lead for way in ways] == [4, 0]
        states = [(way.hidden, *two_levels(way, lengths)[3:]) for way in ways]
    for ours, theirs in zip(*states, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_all_ways_of_reading_give_the_same_states(make_bench, exact, monkeypatch, kind):
    model = exact(make_bench(kind).model)
    ids, sizes = drawn([6, 6])
    with torch.inference_mode():
        ways = [LayerReading(model, ids, sizes, 9), LibraryReading(model, ids)]
        monkeypatch.setattr(reading, "ROW_TOKENS", 20)  # two rows at once
        ways.append(PlainReading(model, ids))
        states = [(way.hidden, *two_levels(way, [6, 6])[3:]) for way in ways]
    for layerwise, as_a_whole, alone in zip(*states, strict=True):
        torch.testing.assert_close(layerwise, alone, **CLOSE)
        torch.testing.assert_close(as_a_whole, alone, **CLOSE)


def test_adapters_take_part(make_bench, exact):
    pytest.importorskip("peft")
    from gti.train.finetuning import add_lora

    plain = make_bench().model
    model = add_lora(plain, 2, 4.0, 0.0, ["q_proj", "v_proj", "down_proj"]).eval()
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    model = exact(model)
    ids, sizes = drawn([4, 6])
    with torch.inference_mode():
        found = LayerReading(model, ids, sizes, 0).hidden
        for user, length in enumerate([4, 6]):
            alone = plain_state(model, ids[user, :length].tolist())
            torch.testing.assert_close(found[user, 0], alone, **CLOSE)


def test_the_last_layer_finishes_the_last_token_alone(make_bench):
    model = make_bench().model
    rows = []
    for layer in model.base_model.layers:
        layer.mlp.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[:2]))
    with torch.inference_mode():
        LayerReading(model, *drawn([7, 6, 7]), 0)
    assert rows == [(3, 7), (3, 1)]


def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=2)
    return GPT2LMHeadModel(config).eval()


def test_only_layers_of_a_known_shape_are_taken_apart(make_bench):
    assert not knows_layers(gpt2(), 9)
    model = make_bench("qwen3").model
    assert knows_layers(model, 9)
    model.config.layer_types = ["full_attention", "linear_attention"]
    assert not knows_layers(model, 9)


@pytest.mark.parametrize("kind", ["gemma3", "mistral"])
def test_prompts_that_fill_a_sliding_window_are_read_otherwise(make_windowed, exact, kind):
    model, (ids, sizes) = exact(make_windowed(kind, 300, window=12)), drawn([9, 9])
    assert why_not_layerwise(model) is None
    assert type(reading.read(model, ids, sizes, 3)) is LayerReading
    with torch.inference_mode():
        read = reading.read(model, ids, sizes, 7)
        first, second, parent, _, lower = two_levels(read, [9, 9])
        assert type(read) is PlainReading
        row = [*ids[0].tolist(), int(first[0, parent[1]]), int(second[0, 1])]
        torch.testing.assert_close(lower[0, 1], plain_state(model, row), **CLOSE)


def test_other_models_are_searched_as_wholes(make_bench):
    bench = make_bench()
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    for tokens in trie.tokens:
        tokens.remainder_(300)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, 300, size) for size in (5, 7, 6, 5)]
    model = gpt2()
    ours, plain = (f(model, trie, prompts, 6) for f in (beam_search, plain_search))
    assert np.array_equal(ours.leaves, plain.leaves)
    np.testing.assert_allclose(ours.scores, plain.scores, atol=1e-4)


@pytest.mark.parametrize("search", [beam_search, exact_search])
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_of_reading_find_the_same_lists(make_bench, exact, monkeypatch, kind, search):
    bench = make_bench(kind)
    model = exact(bench.model)
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    rng = np.random.default_rng(1)
    prompts = [bench.prompter.retrieval_prompt(rng.integers(0, 40, n)) for n in (9, 2, 10, 9, 3)]
    ours = search(model, trie, prompts, 8)
    monkeypatch.setattr(reading, "KNOWN_LAYERS", ())
    assert not knows_layers(model, 9)
    theirs = search(model, trie, prompts, 8)
    assert np.array_equal(ours.leaves, theirs.leaves)
    np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-6)  # kept as float32
    np.testing.assert_allclose(ours.trie_mass, theirs.trie_mass, rtol=1e-9)


@pytest.mark.parametrize("kind", ["tied", "qwen3"])
def test_half_precision_stays_near(make_bench, monkeypatch, kind):
    bench = make_bench(kind)
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    prompts = [bench.prompter.retrieval_prompt(np.arange(n)) for n in (4, 5, 4)]
    # With all leaves in the beam no list is cut, so that leaves can be compared one by one.
    full = beam_search(bench.model, trie, prompts, trie.num_leaves)
    half = beam_search(bench.model, trie, prompts, trie.num_leaves, dtype="bfloat16")
    monkeypatch.setattr(reading, "KNOWN_LAYERS", ())
    whole = beam_search(bench.model, trie, prompts, trie.num_leaves, dtype="bfloat16")
    sorted_scores = [
        np.take_along_axis(found.scores, np.argsort(found.leaves, axis=1), axis=1)
        for found in (full, half, whole)
    ]
    errors = [np.abs(sorted_scores[0] - other).mean() for other in sorted_scores[1:]]
    assert errors[0] < 1.3 * errors[1]
    assert errors[0] < 0.2


def mixing(model):
    """A hook that only whole layers run."""

    def mix(module, args, kwargs):
        return (args[0].cumsum(dim=1), *args[1:]), kwargs

    model.model.layers[0].register_forward_pre_hook(mix, with_kwargs=True)


def scaling(model):
    """A layer of a known name that does more than its kind."""
    layer = model.model.layers[0]
    forward = layer.forward
    layer.forward = lambda *args, **kwargs: 0.5 * forward(*args, **kwargs)


def renaming(model):
    """A layer of a known name whose parts have other ones."""
    layer = model.model.layers[0]
    layer.first_norm = layer.input_layernorm
    del layer.input_layernorm


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (mixing, "give other states"),
        (scaling, "give other states"),
        (renaming, "cannot be read one by one (AttributeError)"),
    ],
)
def test_a_model_of_known_layers_is_tried_on_a_few_tokens(make_bench, spoil, reason):
    model = make_bench().model
    spoil(model)
    assert reason in why_not_layerwise(model)
    assert not knows_layers(model, 9)


def test_a_model_is_tried_once_and_again_when_it_was_changed(make_bench, monkeypatch):
    tried = []
    monkeypatch.setattr(reading, "_largest_error", lambda model: tried.append(model) or 0.0)
    model = make_bench().model
    assert why_not_layerwise(model) is None
    assert why_not_layerwise(model) is None
    assert len(tried) == 1
    assert why_not_layerwise(model.double()) is None
    model.model.layers[0].mlp.up_proj = torch.nn.Sequential(model.model.layers[0].mlp.up_proj)
    assert why_not_layerwise(model) is None
    assert len(tried) == 3


def test_memory_that_runs_out_in_a_trial_is_no_finding_about_the_model(make_bench, monkeypatch):
    def fail(model):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(reading, "_largest_error", fail)
    model = make_bench().model
    with pytest.raises(torch.OutOfMemoryError):
        why_not_layerwise(model)
    assert model not in reading.TRIED


def test_models_of_other_layers_are_named():
    assert why_not_layerwise(gpt2()) == "layers of an unknown shape (GPT2LMHeadModel)"
