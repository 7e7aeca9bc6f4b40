"""What a config declares that forbids a short cut, and how a model is left after it was tried."""

from types import SimpleNamespace

import pytest
import torch
from transformers import Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen3Config

from gti.model.capabilities import hidden_dependence, trying
from gti.search.reading import why_not_layerwise
from gti.train.packed_attention import can_pack
from gti.train.shared_histories import why_not_packed

LONG = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}


@pytest.mark.parametrize(
    "config", [LlamaConfig(), Qwen3Config(), MistralConfig(sliding_window=None), SimpleNamespace()]
)
def test_full_attention_with_plain_rotary_positions_hides_nothing(config):
    assert hidden_dependence(config) is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (MistralConfig(), "attention in a sliding window"),
        (Gemma3TextConfig(), "layers of kind sliding_attention"),
        (LlamaConfig(rope_parameters=LONG), "dynamic rotary positions"),
        (SimpleNamespace(rope_parameters={"rope_type": "longrope"}), "longrope rotary positions"),
        (SimpleNamespace(rope_parameters={"full_attention": LONG}), "dynamic rotary positions"),
        (SimpleNamespace(layer_types=["linear_attention"]), "layers of kind linear_attention"),
    ],
)
def test_what_sees_more_or_less_than_it_is_shown_is_named(config, reason):
    assert hidden_dependence(config) == reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layer_types", ["full_attention", "sliding_attention"]),
        ("sliding_window", 64),
        ("rope_parameters", LONG),
    ],
)
def test_one_rule_decides_all_three_short_cuts(make_bench, name, value):
    model = make_bench("tied", "chat").model
    assert (can_pack(model), why_not_packed(model), why_not_layerwise(model)) == (True, None, None)
    setattr(model.config, name, value)
    reason = hidden_dependence(model.config)
    assert reason is not None
    assert (can_pack(model), why_not_packed(model), why_not_layerwise(model)) == (
        False,
        reason,
        reason,
    )


def test_a_model_that_was_tried_is_left_as_it_was(make_bench):
    model = make_bench().model.train()
    ids = torch.tensor([[1, 2, 3]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with trying(model):
            states = model.base_model(input_ids=ids).last_hidden_state
            assert not model.training
            assert model.model.layers[0].mlp.up_proj(states).dtype == torch.float32
        assert torch.is_autocast_enabled("cpu")
    assert not states.requires_grad
    assert model.training
    with pytest.raises(KeyError), trying(model):
        raise KeyError
    assert model.training
