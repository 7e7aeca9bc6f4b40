"""Packed runs behind constant prefixes against the library's plain forward pass."""

import numpy as np
import pytest
import torch

from gti.train import packed_attention as prefix
from gti.train.packed_attention import NOTHING, Behind, can_pack, pack, packed_attending, run_packed

LENGTHS = (9, 4, 30, 12, 5)
CUTS = (0, 3, 7, 11, 3)


def run_both_ways(model, lengths, cuts, seed=0):
    """(hidden states behind each cut, their input gradients): plain, and packed behind prefixes."""
    generator = torch.Generator().manual_seed(seed)
    width = model.config.hidden_size
    inputs = [
        torch.randn(n, width, generator=generator, dtype=torch.float64, requires_grad=True)
        for n in lengths
    ]
    upstream = [torch.randn(n, width, generator=generator, dtype=torch.float64) for n in lengths]
    plain, gradients = [], []
    for x, cut, g in zip(inputs, cuts, upstream, strict=True):
        fixed = torch.cat([x[:cut].detach(), x[cut:]])
        hidden = model.base_model(inputs_embeds=fixed[None], use_cache=False).last_hidden_state[0]
        plain.append(hidden[cut:])
        gradients.append(torch.autograd.grad((hidden * g)[cut:].sum(), x)[0][cut:])
    kept = []
    with packed_attending(model):
        having = [row for row, cut in enumerate(cuts) if cut]
        first = pack([cuts[row] for row in having], [NOTHING] * len(having), inputs[0], kept)
        order = [having[row] for row in first.order]
        with torch.no_grad():
            run_packed(
                model,
                torch.cat([inputs[row][: cuts[row]] for row in order]),
                torch.cat([torch.arange(cuts[row]) for row in order]),
                first,
            )
        behind = [NOTHING] * len(cuts)
        for start, row in zip(first.starts, order, strict=True):
            behind[row] = Behind(kept, start + np.arange(cuts[row]))
        rest = pack([n - cut for n, cut in zip(lengths, cuts, strict=True)], behind, inputs[0])
        hidden = run_packed(
            model,
            torch.cat([inputs[row][cuts[row] :] for row in rest.order]),
            torch.cat([torch.arange(cuts[row], lengths[row]) for row in rest.order]),
            rest,
        )
    starts = dict(zip(rest.order.tolist(), rest.starts.tolist(), strict=True))
    found = [
        hidden[starts[row] : starts[row] + n - cut]
        for row, (n, cut) in enumerate(zip(lengths, cuts, strict=True))
    ]
    loss = sum((h * g[cut:]).sum() for h, g, cut in zip(found, upstream, cuts, strict=True))
    back = [g[cut:] for g, cut in zip(torch.autograd.grad(loss, inputs), cuts, strict=True)]
    return (plain, gradients), (found, back), rest


@pytest.mark.parametrize("short", [0, 128])
@pytest.mark.parametrize("kind", ["tied", "qwen3", "gemma3"])
def test_states_and_gradients_behind_prefixes_equal_the_plain_ones(
    make_bench, kind, short, monkeypatch
):
    monkeypatch.setattr(prefix, "SHORT", short)
    model = make_bench(kind).model.double()
    plain, packed, how = run_both_ways(model, LENGTHS, CUTS)
    assert len(how.groups) > 1
    assert any(group.padded is not None for group in how.groups)
    for expected, found in zip(plain, packed, strict=True):
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-11)


def test_groups_hold_sequences_of_like_length_in_a_stable_order():
    like = torch.zeros(1)
    lengths = [40, 2, 3, 41, 2, 90]
    packed = pack(lengths, [NOTHING] * len(lengths), like)
    assert packed.order.tolist() == [1, 4, 2, 0, 3, 5]
    assert packed.starts.tolist() == [0, 2, 4, 7, 47, 88]
    assert [group.sequences for group in packed.groups] == [3, 2, 1]
    assert packed.groups[-1].padded is None


def test_the_models_own_attention_comes_back_after_an_error(make_bench):
    model = make_bench().model
    before = model.config._attn_implementation
    embedded = model.get_input_embeddings().weight[:4]
    nowhere = pack([3], [NOTHING], embedded)  # three tokens are packed, four are given
    with packed_attending(model), pytest.raises(RuntimeError):
        run_packed(model, embedded, torch.arange(4), nowhere)
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
def test_models_with_plain_attention_can_be_packed(make_bench, kind):
    assert can_pack(make_bench(kind).model, 512)


@pytest.mark.parametrize("kind", ["gemma3", "mistral"])
def test_a_model_with_a_sliding_window_is_packed_as_far_as_that_reaches(make_windowed, kind):
    model = make_windowed(kind, 300, window=8)
    assert [can_pack(model, tokens) for tokens in (8, 9)] == [True, False]
    # Shorter than the sequences that a model is tried with: nothing is known of it.
    assert not can_pack(make_windowed(kind, 300, window=4), 4)


def test_a_model_whose_rotary_embedding_depends_on_the_batch_cannot_be_packed(make_bench):
    model = make_bench().model
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert not can_pack(model, 513)


def test_a_model_that_mixes_tokens_beside_attention_is_found_out_by_its_numbers(make_bench):
    model = make_bench().model

    def mix(module, args, kwargs):
        return (args[0].cumsum(dim=1), *args[1:]), kwargs

    model.model.layers[0].register_forward_pre_hook(mix, with_kwargs=True)
    assert not can_pack(model, 9)
