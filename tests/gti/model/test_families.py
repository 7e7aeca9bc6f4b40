"""Every family of models agrees with its own logits, one sequence at a time, or is refused.

Tiny random models: hidden size 32, two layers. What each family does that a short cut may miss
stands beside it. Sliding windows and chunks are twelve tokens, some prompts shorter and some
longer; `...` leaves the library's default.
"""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from gti.method import GroundingPlan
from gti.model.vocabulary import VocabularyError, extend_vocabulary, write_rows
from gti.prompts.prompter import Prompter
from gti.search.decoding import beam_search, build_trie
from gti.search.exact_scoring import exact_search
from gti.search.likelihood import target_nll
from gti.train.example_nll import example_nll
from gti.train.finetuning import Step, finetune, retrieval_examples
from gti.train.grounding import ground, grounding_examples

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "residual_dropout": 0.0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
MULTI_HEAD = {"num_key_value_heads": 4}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
MAMBA = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_d_ssm": 64,
    "mamba_chunk_size": 8,
    "mamba_n_groups": 1,
    "mamba_expand": 2,
}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
WINDOW = {"sliding_window": 12}
MIXED = {"sliding_window": 12, "layer_types": ["sliding_attention", "full_attention"]}
BERT = {"is_decoder": True}
DECODER = {
    "d_model": 32,
    "decoder_layers": 2,
    "encoder_layers": 2,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "encoder_ffn_dim": 64,
    "is_decoder": True,
    "is_encoder_decoder": False,
}
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "head_dim": 4,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 32,
}

FAMILIES: dict[str, dict[str, Any]] = {
    # Full attention with rotary positions.
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "smollm3": {},
    "olmo2": {},
    "helium": {},
    "arcee": {},
    "apertus": {},
    "seed_oss": {},
    "ernie4_5": {},
    "glm": {},
    "glm4": {},
    "phi3": {},
    "stablelm": {},
    "starcoder2": {},
    "nemotron": {},
    "persimmon": MULTI_HEAD,
    "gpt_neox": MULTI_HEAD,
    "nanochat": {},
    "diffllama": {},
    "doge": {},
    "minicpm3": {**LATENT, "dim_model_base": 32},
    # Experts.
    "mixtral": EXPERTS,
    "qwen2_moe": EXPERTS,
    "qwen3_moe": EXPERTS,
    "olmoe": EXPERTS,
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
    "gpt_oss": {**EXPERTS, **MIXED},
    "deepseek_v4": {},
    # Windows, chunks, positions that change with the length.
    "mistral": WINDOW,
    "ministral": MIXED,
    "olmo3": MIXED,
    "exaone4": MIXED,
    "cwm": MIXED,
    "modernbert-decoder": {"local_attention": 12, "pad_token_id": 1},
    "llama4_text": {**EXPERTS, "attention_chunk_size": 12, "intermediate_size_mlp": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "window_size": 12},
    # Positions that are learned, or biases in their place.
    "gpt2": {},
    "gpt_bigcode": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2},
    "falcon": {"alibi": True, "head_dim": ...},
    "bart": DECODER,
    # Scaled input embeddings.
    "gemma": {},
    "gemma2": MIXED,
    "gemma3_text": MIXED,
    "gemma3n_text": {
        **MIXED,
        "intermediate_size": [64, 64],
        "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 0,
        "laurel_rank": 8,
        "altup_num_inputs": 2,
        "activation_sparsity_pattern": [0.0, 0.0],
    },
    "gemma4_text": {**MIXED, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0},
    "vaultgemma": MIXED,
    "gemma2:uncapped": {**MIXED, "final_logit_softcapping": None},
    "gemma4_text:one table": {**MIXED, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0},
    "xglm": {"ffn_dim": 64},
    "biogpt": {},
    # Heads that do more than multiply.
    "granite": {"logits_scaling": 4.0, "embedding_multiplier": 3.0},
    "cohere": {"logit_scale": 0.5},
    "cohere2": {**MIXED, "logit_scale": 0.5},
    "granite:unscaled": {"logits_scaling": 1.0, "embedding_multiplier": 3.0},
    "cohere:unscaled": {"logit_scale": 1.0},
    "phi": {},
    "gptj": {"rotary_dim": 4},
    "codegen": {"rotary_dim": 4},
    # Convolution, linear attention, state space.
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
    "qwen3_next": {**LINEAR, **EXPERTS, "moe_intermediate_size": 32},
    "qwen3_5_text": LINEAR,
    "falcon_h1": {**MAMBA, "lm_head_multiplier": 0.5, "embedding_multiplier": 2.0},
    "falcon_h1:unscaled": {**MAMBA, "lm_head_multiplier": 1.0, "embedding_multiplier": 2.0},
    "bamba": {**MAMBA, "attn_layer_indices": [1]},
    "jamba": {**EXPERTS, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8},
    "granitemoehybrid": {
        **MAMBA,
        "layer_types": ["mamba", "attention"],
        "num_local_experts": 0,
        "logits_scaling": 1.0,
    },
    "zamba2": {
        **MAMBA,
        **MULTI_HEAD,
        "layers_block_type": ["mamba", "hybrid"],
        "attention_head_dim": 16,
        "n_mamba_heads": 4,
    },
    "recurrent_gemma": {
        "lru_width": 32,
        "attention_window_size": 12,
        "block_types": ["recurrent", "attention"],
    },
    "mamba": {"state_size": 8},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "falcon_mamba": {"state_size": 8},
    "rwkv": {"attention_hidden_size": 32},
    "xlstm": {"num_heads": 4, "num_blocks": 2, "chunk_size": 8},
    "minimax": {**EXPERTS, "layer_types": ["linear_attention", "full_attention"], "block_size": 8},
    # Masks of another kind, or none.
    "bert": BERT,
    "roberta": {**BERT, "pad_token_id": 1},
    "electra": {**BERT, "embedding_size": 16},
    "ctrl": {"dff": 64},
    "openai-gpt": {},
    "xlnet": {"d_inner": 64, "d_head": 8, "max_position_embeddings": ...},
    "t5": {"d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0},
}


def tiny(family: str, rows: int, **changes: Any) -> Any:
    """A random model of `family` with `rows` rows of its matrix, in eval mode."""
    named = SIZES | {"vocab_size": rows} | FAMILIES[family] | changes
    named = {name: value for name, value in named.items() if value is not ...}
    config = CONFIG_MAPPING[family.partition(":")[0]](**named)
    torch.manual_seed(0)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_config(config).eval()
    for module in model.modules():
        # Families start with weights of many sizes: with large ones every part of a layer counts.
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, std=0.2)
    return model


BIAS = "a head with a bias is not supported"
PLAIN_HEADS = "only plain heads are supported"
SECOND_TABLE = "a second table of rows per token, model.embed_tokens_per_layer, is not supported"
REFUSED = {
    "nanochat": PLAIN_HEADS,
    "gemma2": PLAIN_HEADS,
    "gemma3n_text": PLAIN_HEADS,
    "gemma4_text": SECOND_TABLE,
    "vaultgemma": PLAIN_HEADS,
    "granite": PLAIN_HEADS,
    "cohere": PLAIN_HEADS,
    "cohere2": PLAIN_HEADS,
    "falcon_h1": PLAIN_HEADS,
    "recurrent_gemma": PLAIN_HEADS,
    "xlstm": PLAIN_HEADS,
    "modernbert-decoder": BIAS,
    "phi": BIAS,
    "gptj": BIAS,
    "codegen": BIAS,
    "bert": BIAS,
    "roberta": BIAS,
    "electra": BIAS,
    "ctrl": BIAS,
    "xlnet": BIAS,
    "deepseek_v4": "a second table of rows per token, model.layers.0.mlp.gate.tid2eid,",
    "llama4_text": "its layers cannot be called without its head",
    "t5": "an encoder with a decoder is not supported",
}
"""Families that are refused, and what the refusal says; all others agree."""
SETTINGS = SimpleNamespace(
    learning_rate=1e-3,
    batch_size=8,
    schedule="constant",
    warmup_share=0.0,
    weight_decay=0.0,
    betas=(0.9, 0.99),
    clip_norm=1.0,
)
CLOSE = {"rtol": 0, "atol": 1e-4}
HISTORIES = [np.array([3]), np.array([5, 9, 1, 30]), np.array([5, 9, 1, 31, 2, 17, 8])]


def nll_alone(model, ids, targets):
    """Summed NLL of the tokens of `ids` at `targets`, from plain logits of this one sequence."""
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(ids)[None], use_cache=False).logits[0].double()
    picked = logits.log_softmax(dim=-1)[targets - 1, ids[targets]]
    return -float(picked.sum())


def mean_nll(model, examples):
    summed = sum(nll_alone(model, example.ids, example.targets) for example in examples)
    return summed / sum(example.num_targets for example in examples)


def leaf_scores(model, trie, sid_ids, prompt):
    """[leaves] log-probability of each Semantic ID behind `prompt`, one sequence each."""
    scores = np.empty(trie.num_leaves)
    for item, codes in enumerate(sid_ids):
        targets = len(prompt) + np.arange(len(codes))
        scores[trie.leaf_of[item]] = -nll_alone(model, np.concatenate([prompt, codes]), targets)
    return scores


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_agrees_with_its_own_logits_or_is_refused(
    make_tokenizer, sids, item_texts, family
):
    tokenizer = make_tokenizer()
    model = tiny(family, len(tokenizer))
    if family in REFUSED:
        before, size = copy.deepcopy(model.state_dict()), len(tokenizer)
        with pytest.raises(VocabularyError, match=REFUSED[family]) as refusal:
            extend_vocabulary(tokenizer, model, sids.tokens)
        assert "\n" not in str(refusal.value)
        assert len(tokenizer) == size
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, before[name]), name
        return
    vocabulary = extend_vocabulary(tokenizer, model, sids.tokens)
    generator = torch.Generator().manual_seed(1)
    matrices = {id(m): m for m in (model.get_input_embeddings(), model.get_output_embeddings())}
    for module in matrices.values():
        rows = 0.2 * torch.randn(sids.num_tokens, module.weight.shape[1], generator=generator)
        write_rows(module.weight, vocabulary.new_ids, rows)
    prompter = Prompter(
        tokenizer,
        vocabulary,
        sids,
        item_texts,
        title_field="title",
        detail_fields=("description",),
        style="plain",
        max_text_tokens=16,
        max_history=4,
        context=512,
    )

    pairs = grounding_examples(prompter, GroundingPlan(), np.random.default_rng(0))[:8]
    expected = mean_nll(model, pairs)
    report = ground(model, vocabulary, [pairs], SETTINGS)
    assert report.first_loss == pytest.approx(expected, abs=1e-4)
    assert report.new_rows_with_gradient > 0

    trie = build_trie(sids, vocabulary, torch.device("cpu"))
    prompts = [prompter.retrieval_prompt(history) for history in HISTORIES]
    prompts = [prompt[-length:] for prompt, length in zip(prompts, (5, 20, 40), strict=True)]
    scores = [leaf_scores(model, trie, prompter.sid_ids, prompt) for prompt in prompts]
    for search in (beam_search, exact_search):
        found = search(model, trie, prompts, 64)
        for user, expected in enumerate(scores):
            order = np.argsort(found.leaves[user][: trie.num_leaves])
            np.testing.assert_allclose(found.scores[user][order], expected, **CLOSE)
    targets = [np.array([3, 8, 30]), np.array([4]), np.array([7, 11])]
    found = target_nll(model, trie, prompts, targets).nll
    own = [-mine[trie.leaf_of[items]] for mine, items in zip(scores, targets, strict=True)]
    np.testing.assert_allclose(found, np.concatenate(own), **CLOSE)

    model.requires_grad_(True)
    rng = np.random.default_rng(2)
    examples = retrieval_examples(prompter, HISTORIES, 4, rng)
    expected = mean_nll(model, examples)
    summed, counts = example_nll(model, examples)
    assert summed.sum() / counts.sum() == pytest.approx(expected, abs=1e-4)
    report = finetune(model, vocabulary, [Step(examples, [])], SETTINGS, seed=0)
    assert report.first_loss == pytest.approx(expected, abs=1e-4)
