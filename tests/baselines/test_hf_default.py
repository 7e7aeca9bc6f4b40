"""`hf_default` holds what a user's own call of `resize_token_embeddings` leaves."""

from importlib.metadata import version

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from baselines.hf_default import HfDefault
from gti.model.vocabulary import extend_vocabulary

NEW = tuple(f"<a_{code}>" for code in range(24))
TEXT = 100


def make_tokenizer():
    words = {f"w{i}": i for i in range(TEXT)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, "w0")))


def make_model(kind, padding):
    torch.manual_seed(0)
    shape = {
        "vocab_size": TEXT + padding,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "initializer_range": 0.5,
        "tie_word_embeddings": kind != "untied",
    }
    if kind == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=16))
    return LlamaForCausalLM(LlamaConfig(**shape))


@pytest.mark.parametrize(
    ("kind", "padding"),
    [("tied", 0), ("untied", 0), ("qwen3", 10), ("qwen3", 60), ("untied", 10), ("tied", 24)],
)
def test_rows_equal_those_of_a_call_by_hand_bit_for_bit(kind, padding):
    by_hand = make_model(kind, padding)
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(list(NEW))
    torch.manual_seed(5)
    by_hand.resize_token_embeddings(len(tokenizer))

    vocabulary = extend_vocabulary(make_tokenizer(), make_model(kind, padding), NEW, seed=5)
    matrices = [by_hand.get_input_embeddings().weight]
    if kind == "untied":
        matrices.append(by_hand.get_output_embeddings().weight)
    assert len(vocabulary.default_rows) == len(matrices)
    for rows, matrix in zip(vocabulary.default_rows, matrices, strict=True):
        assert torch.equal(rows, matrix[TEXT:].detach())


def test_new_tokens_on_old_padding_keep_what_stood_there_and_the_rest_is_nearly_the_mean():
    model = make_model("qwen3", 10)
    before = model.get_input_embeddings().weight.detach().clone()
    (rows,) = extend_vocabulary(make_tokenizer(), model, NEW).default_rows
    assert torch.equal(rows[:10], before[TEXT:])
    torch.testing.assert_close(rows[10:], before.mean(dim=0).expand(14, -1), atol=1e-3, rtol=0)
    # Padding has entered that mean, which `mean` keeps out.
    assert (rows[10:].mean(dim=0) - before[:TEXT].mean(dim=0)).norm() > 0.05


def test_a_matrix_with_more_padding_than_new_tokens_is_left_alone():
    model = make_model("qwen3", 60)
    before = model.get_input_embeddings().weight.detach().clone()
    (rows,) = extend_vocabulary(make_tokenizer(), model, NEW).default_rows
    assert torch.equal(rows, before[TEXT : TEXT + 24])
    assert torch.equal(model.get_input_embeddings().weight, before)


def test_its_rows_are_those_found_and_its_manifest_names_the_library(make_start):
    given = make_start()
    assert torch.equal(HfDefault().initialize(given), given.default_rows)
    assert HfDefault().initializer == f"hf_default v1 (transformers {version('transformers')})"
