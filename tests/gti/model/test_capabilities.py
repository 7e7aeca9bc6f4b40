"""What a config declares that forbids a short cut, and how a model is left after it was tried."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    Gemma3TextConfig,
    GPTNeoConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen3Config,
    Qwen3NextConfig,
)

from gti.method import GroundingPlan
from gti.model.capabilities import (
    ModelError,
    check_model,
    context_of,
    free_length,
    hidden_dependence,
    row_scale,
    trying,
    why_not_looked_up,
    why_not_plain,
)
from gti.search.decoding import beam_search, build_trie
from gti.search.exact_scoring import exact_search
from gti.search.likelihood import target_nll
from gti.search.reading import knows_layers
from gti.train.example_nll import example_nll
from gti.train.finetuning import Step, finetune
from gti.train.grounding import OwnRows, ground, grounding_examples
from gti.train.packed_attention import can_pack
from gti.train.shared_histories import why_not_packed
from gti.train.training import AdamWSettings, TrainingError

SETTINGS = AdamWSettings(learning_rate=1e-3)
LONG = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
STRETCHED = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "long_factor": [4.0] * 8,
    "short_factor": [1.0] * 8,
}
TINY = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "original_max_position_embeddings": 16,
}


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
    ("config", "tokens"),
    [
        (LlamaConfig(max_position_embeddings=64), 64),
        (LlamaConfig(max_position_embeddings=64, rope_parameters=LONG), 64),
        (Phi3Config(max_position_embeddings=64, rope_parameters=STRETCHED, **TINY), 16),
        (SimpleNamespace(), None),
    ],
)
def test_sequences_end_where_positions_begin_to_change_with_length(config, tokens):
    assert context_of(config) == tokens


def test_beyond_that_a_short_sequence_is_read_otherwise_beside_a_long_one():
    torch.manual_seed(0)
    config = Phi3Config(max_position_embeddings=64, rope_parameters=STRETCHED, **TINY)
    model = Phi3ForCausalLM(config).eval()
    ids = torch.randint(3, 90, (2, context_of(config) + 1))
    mask = torch.ones_like(ids)
    mask[0, 8:] = 0
    with torch.no_grad():
        alone = model(ids[:1, :8]).logits[0]
        both = model(ids, attention_mask=mask).logits[0, :8]
        within = model(ids[:, :-1], attention_mask=mask[:, :-1]).logits[0, :8]
    assert not torch.allclose(alone, both, atol=1e-3)
    torch.testing.assert_close(within, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "free"),
    [
        ("layer_types", ["full_attention", "sliding_attention"], 0),
        ("sliding_window", 64, 64),
        ("rope_parameters", LONG, 512),
    ],
)
def test_one_rule_decides_all_three_short_cuts(make_bench, name, value, free):
    model = make_bench("tied", "chat").model

    def allowed(tokens):
        return can_pack(model, tokens), why_not_packed(model, tokens), knows_layers(model, tokens)

    assert allowed(1000) == (True, None, True)
    setattr(model.config, name, value)
    reason = hidden_dependence(model.config)
    assert reason is not None
    if free:
        assert allowed(free) == (True, None, True)
    assert allowed(free + 1) == (False, reason, False)


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


@pytest.mark.parametrize(
    ("config", "length"),
    [
        (LlamaConfig(), math.inf),
        (MistralConfig(sliding_window=40), 40),
        (Gemma3TextConfig(sliding_window=512), 512),
        (GPTNeoConfig(window_size=256), 256),
        (Qwen3NextConfig(), 0),
        (LlamaConfig(max_position_embeddings=100, rope_parameters=LONG), 100),
        (SimpleNamespace(layer_types=["chunked_attention"], attention_chunk_size=8), 8),
        (SimpleNamespace(layer_types=["sliding_attention"]), 0),
    ],
)
def test_up_to_some_length_nothing_is_hidden(config, length):
    assert free_length(config) == length


def looking_ahead(model):
    model.model.layers[0].register_forward_pre_hook(
        lambda _, inputs: (inputs[0] + inputs[0].mean(dim=1, keepdim=True), *inputs[1:])
    )


def scaling_states(model):
    model.lm_head.register_forward_pre_hook(lambda _, inputs: (0.9 * inputs[0],))


class Capped(torch.nn.Module):
    """A language model whose logits are capped at a size that short trials never reach."""

    def __init__(self, model):
        super().__init__()
        self.whole, self.config, self.base_model = model, model.config, model.base_model
        self.get_input_embeddings = model.get_input_embeddings
        self.get_output_embeddings = model.get_output_embeddings

    def forward(self, **inputs):
        output = self.whole(**inputs)
        output.logits = 30 * torch.tanh(output.logits / 30)
        return output


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (looking_ahead, "depends on what stands behind it"),
        (scaling_states, "not its last states times the matrix of its head"),
    ],
)
def test_a_model_that_does_more_than_stages_compute_is_refused(make_bench, spoil, reason):
    bench = make_bench()
    model = bench.model
    check_model(model)
    spoil(model)
    model.model.layers[0].extra = torch.nn.Identity()  # what it is made of has changed
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    prompt = [bench.prompter.retrieval_prompt(np.array([3]))]
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    for stage in (
        lambda: ground(model, bench.vocabulary, [], None),
        lambda: finetune(model, bench.vocabulary, [], None, seed=0),
        lambda: beam_search(model, trie, prompt, 4),
        lambda: exact_search(model, trie, prompt, 4),
        lambda: target_nll(model, trie, prompt, [np.array([1])]),
        lambda: example_nll(model, []),
    ):
        with pytest.raises(ModelError, match=f"LlamaForCausalLM: .*{reason}"):
            stage()
    for name, weight in model.named_parameters():
        assert weight.requires_grad, name
        assert torch.equal(weight, before[name]), name


def test_a_cap_that_small_logits_never_reach_is_found(make_bench):
    model = make_bench().model
    with torch.no_grad():  # so small that the cap is below rounding
        model.get_output_embeddings().weight.mul_(1e-3)
    assert why_not_plain(model) is None
    assert "behind the head" in why_not_plain(Capped(model))


def test_wrappers_of_peft_are_refused_and_what_is_in_them_is_taken(make_bench):
    peft = pytest.importorskip("peft")
    bench = make_bench()
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    wrapped = peft.get_peft_model(bench.model, config)
    with pytest.raises(ModelError, match="get_base_model"):
        ground(wrapped, bench.vocabulary, [], None)
    model = wrapped.get_base_model().eval()
    trie = build_trie(bench.sids, bench.vocabulary, torch.device("cpu"))
    prompt = bench.prompter.retrieval_prompt(np.array([3, 5]))
    found = target_nll(model, trie, [prompt], [np.array([4])]).nll
    ids = torch.from_numpy(np.concatenate([prompt, bench.prompter.sid_ids[4]]))
    with torch.no_grad():
        logits = wrapped(input_ids=ids[None]).logits[0].double().log_softmax(dim=-1)
    expected = -logits[len(prompt) - 1 : -1].gather(1, ids[len(prompt) :, None]).sum()
    assert found == pytest.approx([float(expected)], abs=1e-4)


def test_a_model_without_weights_that_train_is_refused(make_bench):
    bench = make_bench()
    with pytest.raises(TrainingError, match="nothing trains"):
        finetune(bench.model.requires_grad_(False), bench.vocabulary, [], None, seed=0)


def test_rows_are_not_looked_up_past_a_module_that_scales_them(make_bench):
    model = make_bench().model
    assert why_not_looked_up(model) is None
    module = model.get_input_embeddings()
    module.register_forward_hook(lambda _, inputs, rows: 3 * rows)
    module.extra = torch.nn.Identity()
    assert "give other states" in why_not_looked_up(model)
    assert not OwnRows(model, make_bench().vocabulary).looks_up


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_module_says_that_it_scales_rows_by_is_taken_into_account(make_bench, dtype):
    model = make_bench("gemma3").model.to(dtype)
    module = model.get_input_embeddings()
    ids = torch.arange(20)
    torch.testing.assert_close(module(ids), module.weight[ids] * row_scale(model), rtol=0, atol=0)
    assert why_not_looked_up(model) is None
    assert row_scale(make_bench("tied").model) == 1.0
    module.embed_scale = None
    assert row_scale(model) == 1.0


def mean_nll(model, examples):
    """Mean NLL of the answers, from plain logits of one sequence at a time."""
    summed = 0.0
    for example in examples:
        ids = torch.from_numpy(example.ids)
        with torch.no_grad():
            logits = model(input_ids=ids[None]).logits[0].double().log_softmax(dim=-1)
        summed -= float(logits[example.targets - 1, ids[example.targets]].sum())
    return summed / sum(example.num_targets for example in examples)


def test_the_first_ids_of_a_vocabulary_bar_no_short_cut(make_bench):
    model = make_bench().model.eval()
    with torch.no_grad():
        model.get_input_embeddings().weight[1:16] = torch.nan  # control tokens that nothing trained
    assert knows_layers(model, 9)
    assert can_pack(model, 9)
    assert why_not_packed(model, 9) is None


@pytest.mark.parametrize("kind", ["tied", "qwen3"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("copies", [True, False])
def test_a_model_in_bfloat16_agrees_with_its_own_logits(make_bench, kind, dtype, copies):
    bench = make_bench(kind, "chat")
    model = bench.model.bfloat16()
    plan = GroundingPlan()
    pairs = grounding_examples(bench.prompter, plan, np.random.default_rng(0))[:8]
    expected = mean_nll(model, pairs)
    report = ground(model, bench.vocabulary, [pairs], SETTINGS, dtype=dtype, copies=copies)
    assert report.first_loss == pytest.approx(expected, abs=0.03)
    expected = mean_nll(model, pairs)
    model.requires_grad_(True)
    report = finetune(
        model, bench.vocabulary, [Step(pairs, [])], SETTINGS, seed=0, dtype=dtype, copies=copies
    )
    assert report.first_loss == pytest.approx(expected, abs=0.03)
