"""bfloat16 copies beside the float32 model they stand for."""

import copy
import gc

import pytest
import torch
from torch.nn.functional import cosine_similarity

from gti.model import compute
from gti.model.capabilities import original_of
from gti.model.compute import Computing, cast_copy, computed_in
from gti.model.vocabulary import embedding_matrices
from gti.search import reading
from gti.search.reading import knows_layers
from gti.train import packed_attention
from gti.train.packed_attention import can_pack


def loss_of(model, ids):
    return model(input_ids=ids, labels=ids).loss


@pytest.fixture
def ids():
    return torch.randint(0, 300, (4, 20), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("kind", "matrices"), [("tied", 1), ("untied", 2)])
def test_a_copy_is_tied_as_its_model_and_holds_its_weights_rounded(make_bench, kind, matrices):
    model = make_bench(kind).model
    copied = cast_copy(model)
    assert len(embedding_matrices(copied)) == matrices
    for ours, theirs in zip(copied.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs.to(torch.bfloat16))
    assert all(weight.dtype == torch.float32 for weight in model.parameters())


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
def test_gradients_of_micro_batches_add_up_in_the_models_own_weights(make_bench, kind, ids):
    model = make_bench(kind).model
    plain = copy.deepcopy(model)
    computing = Computing(model, "bfloat16")
    assert computing.copied
    for part in ids.split(2):
        loss_of(computing.model, part).backward()
        loss_of(plain, part).backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert ours.grad.dtype == torch.float32
        assert cosine_similarity(ours.grad.flatten(), theirs.grad.flatten(), dim=0) > 0.99
    ours, theirs = (
        torch.cat([weight.grad.flatten() for weight in each.parameters()])
        for each in (model, plain)
    )
    assert cosine_similarity(ours, theirs, dim=0) > 0.999


def test_many_small_gradients_of_one_token_are_not_lost(make_bench):
    model = make_bench("untied").model
    computing = Computing(model, "bfloat16")
    rows = computing.model.get_input_embeddings()(torch.full((4096,), 7))
    rows.float().mean(dim=1).sum().backward()
    # Added up in bfloat16, the sum would stop growing at 256 times what is added.
    expected = torch.full((32,), 4096 / 32)
    torch.testing.assert_close(model.get_input_embeddings().weight.grad[7], expected)


def test_a_second_step_has_its_own_gradients_in_the_memory_of_the_first(make_bench, ids):
    model = make_bench().model
    computing = Computing(model, "bfloat16")
    loss_of(computing.model, ids[:2]).backward()
    first = {name: weight.grad for name, weight in model.named_parameters()}
    copies = {name: gradient.clone() for name, gradient in first.items()}
    model.zero_grad()
    loss_of(computing.model, ids[2:]).backward()
    fresh = make_bench().model
    loss_of(Computing(fresh, "bfloat16").model, ids[2:]).backward()
    for (name, ours), theirs in zip(model.named_parameters(), fresh.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad), name
        assert not torch.equal(ours.grad, copies[name]), name
        assert ours.grad.data_ptr() == first[name].data_ptr(), name


def test_a_padding_row_receives_nothing(make_bench):
    model = make_bench("untied").model
    matrix = model.get_input_embeddings()
    matrix.padding_idx = 7
    computing = Computing(model, "bfloat16")
    computing.model.get_input_embeddings()(torch.tensor([[7, 8], [8, 7]])).float().sum().backward()
    assert matrix.weight.grad[7].abs().sum() == 0
    assert torch.equal(matrix.weight.grad[8], torch.full((32,), 2.0))


def test_a_copy_follows_its_model_once_refreshed(make_bench, ids):
    model = make_bench().model
    computing = Computing(model, "bfloat16")
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    computing.refresh()
    with torch.no_grad():
        found, expected = loss_of(computing.model, ids), loss_of(cast_copy(model), ids)
    assert float(found) == pytest.approx(float(expected), rel=1e-2)
    for name, weight in cast_copy(model).named_parameters():
        if "embed_tokens" not in name:
            assert torch.equal(computing.model.get_parameter(name), weight), name


def test_frozen_weights_receive_nothing(make_bench, ids):
    model = make_bench("untied").model
    model.model.requires_grad_(False)
    computing = Computing(model, "bfloat16")
    loss_of(computing.model, ids).backward()
    touched = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert touched == {"lm_head.weight"}


def test_float32_and_what_is_bfloat16_already_are_taken_as_they_are(make_bench):
    model = make_bench().model
    assert computed_in(model, "float32") == (model, "float32")
    copied, dtype = computed_in(model, "bfloat16")
    assert copied is not model
    assert dtype == "float32"
    assert computed_in(copied, "bfloat16") == (copied, "float32")


def test_a_model_of_mixed_weights_is_computed_under_autocast(make_bench):
    model = make_bench().model
    model.model.norm.to(torch.float16)
    assert computed_in(model, "bfloat16") == (model, "bfloat16")
    assert Computing(model, "bfloat16").why_not == "its weights are not all float32"
    for dtype, copies in (("float32", True), ("bfloat16", False)):  # none was to be made
        assert Computing(model, dtype, copies=copies).why_not is None


def test_a_layer_that_wants_float32_is_computed_under_autocast(make_bench, ids):
    model = make_bench().model
    model.model.layers[0].register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    computing = Computing(model, "bfloat16")
    assert computing.model is model
    assert computing.why_not is not None
    with computing.autocast():
        assert torch.is_autocast_enabled("cpu")
        loss_of(model, ids).backward()


def test_a_copy_that_gives_other_states_is_not_taken(make_bench):
    model = make_bench().model
    copied = cast_copy(model)
    copied.model.layers[0].register_forward_hook(lambda _, inputs, output: 2 * output)
    reason = compute.why_no_copy(model, copied)
    assert reason is not None
    assert "other states" in reason


def test_which_ways_a_copy_takes_is_asked_of_the_model_it_rounds(make_bench, monkeypatch):
    model = make_bench().model.eval()
    copied, _ = computed_in(model, "bfloat16")
    assert original_of(copied) is model
    assert original_of(model) is model
    assert knows_layers(copied, 20)
    assert can_pack(copied, 20)
    # Both were found out in float32, so that no rounding of the copy can change the answer.
    for known in (reading.TRIED, packed_attention.TRIED):
        assert copied not in known
        assert known[model][1] is None
    monkeypatch.setattr(reading, "_largest_error", lambda model: 1.0)  # as rounding may have it
    assert knows_layers(copied, 20)
    assert not knows_layers(copy.deepcopy(copied), 20)  # a copy of nothing that is known


def test_a_copy_whose_model_is_gone_is_tried_itself(make_bench):
    copied, _ = computed_in(make_bench().model.eval(), "bfloat16")
    gc.collect()
    assert original_of(copied) is copied
    assert knows_layers(copied, 20)
    assert copied in reading.TRIED
