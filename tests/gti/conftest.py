"""Tiny models, tokenizers and data of the shapes that matter: tied, untied, padded, chat."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
)
from transformers.models.qwen3 import Qwen3ForCausalLM

from gti.data.semantic_ids import SemanticIds
from gti.model.vocabulary import Vocabulary, extend_vocabulary, write_rows
from gti.prompts.prompter import Prompter, Style

TEXT = [
    "The item is a red steel hammer with a wooden handle.",
    "A gentle comedy about two brothers and their garden.",
    "Title: blue cotton shirt. Genres: drama, adventure, war.",
] * 20

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    def make(chat: bool = False) -> Any:
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        core.train_from_iterator(TEXT, trainer)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=core, eos_token="<|endoftext|>", bos_token="<|endoftext|>"
        )
        if chat:
            tokenizer.chat_template = CHAT_TEMPLATE
        return tokenizer

    return make


def make_llama(rows: int, tied: bool) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=rows,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


def make_qwen3(rows: int) -> Any:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=rows,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    return Qwen3ForCausalLM(config).eval()


WINDOWED = ("gemma3", "mistral")


def windowed(kind: str, rows: int, window: int = 512) -> Any:
    """Gemma 3 with a layer of either kind, or Mistral: both attend to the last `window` tokens."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": rows,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "sliding_window": window,
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
    }
    if kind == "mistral":
        return MistralForCausalLM(MistralConfig(**shape)).eval()
    kinds = ["sliding_attention", "full_attention"]
    config = Gemma3TextConfig(**shape, head_dim=16, query_pre_attn_scalar=16, layer_types=kinds)
    model = Gemma3ForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(7)
    for name, weight in model.named_parameters():
        if "norm" in name:  # all zero as the library makes them, which hides which norm is where
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    return model


@pytest.fixture
def make_windowed() -> Callable[..., Any]:
    """`make_windowed(kind, rows, window)`: a model whose attention slides."""
    return windowed


@pytest.fixture(scope="session")
def sids() -> SemanticIds:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 8, size=(40, 3)).astype(np.int64)
    codes[7] = codes[3]  # one collision
    codebooks = rng.normal(size=(3, 8, 16)).astype(np.float16)
    return SemanticIds(codes, 8, codebooks, {"made": "for tests"})


@pytest.fixture(scope="session")
def item_texts() -> tuple[dict[str, str], ...]:
    return tuple(
        {"title": f"red hammer {i}", "description": f"a steel garden item number {i}"}
        for i in range(40)
    )


class Bench:
    """A grown model with everything that belongs to it."""

    def __init__(
        self, tokenizer: Any, model: Any, sids: SemanticIds, texts: Any, style: Style
    ) -> None:
        self.tokenizer, self.model, self.sids = tokenizer, model, sids
        self.vocabulary: Vocabulary = extend_vocabulary(tokenizer, model, sids.tokens)
        generator = torch.Generator().manual_seed(1)
        matrices = {id(m): m for m in (self.embedding, self.head)}
        for matrix in matrices.values():
            rows = 0.2 * torch.randn(sids.num_tokens, matrix.shape[1], generator=generator)
            write_rows(matrix, self.vocabulary.new_ids, rows)
        self.prompter = Prompter(
            tokenizer,
            self.vocabulary,
            sids,
            texts,
            title_field="title",
            detail_fields=("description",),
            style=style,
            max_text_tokens=32,
            max_history=20,
            context=512,
        )

    @property
    def embedding(self) -> torch.nn.Parameter:
        weight: torch.nn.Parameter = self.model.get_input_embeddings().weight
        return weight

    @property
    def head(self) -> torch.nn.Parameter:
        weight: torch.nn.Parameter = self.model.get_output_embeddings().weight
        return weight


@pytest.fixture
def make_plain(make_tokenizer: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """`make_plain(kind)`: a model of that kind and its tokenizer, before any new token."""

    def make(kind: str = "tied", pad: int = 0) -> tuple[Any, Any]:
        tokenizer = make_tokenizer(chat=kind == "qwen3")
        rows = len(tokenizer)
        if kind == "qwen3":
            return make_qwen3(rows + (pad or 30)), tokenizer
        if kind in WINDOWED:
            return windowed(kind, rows + pad), tokenizer
        return make_llama(rows + pad, tied=kind == "tied"), tokenizer

    return make


@pytest.fixture
def make_bench(
    make_plain: Callable[..., tuple[Any, Any]], sids: SemanticIds, item_texts: Any
) -> Callable[..., Bench]:
    """`make_bench(kind)`: a Llama, "tied" or "untied"; "qwen3" (padded vocabulary, chat template);
    "gemma3" or "mistral" (sliding windows)."""

    def make(kind: str = "tied", style: Style = "sequence", pad: int = 0) -> Bench:
        model, tokenizer = make_plain(kind, pad)
        return Bench(tokenizer, model, sids, item_texts, style)

    return make


class ExactNorm(torch.nn.Module):
    """RMS norm in the dtype of its input; the library computes it in float32 always."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        gemma = type(norm).__name__.startswith("Gemma")
        self.weight = torch.nn.Parameter(1 + norm.weight.detach()) if gemma else norm.weight
        self.eps = norm.eps if gemma else norm.variance_epsilon

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        scale = (hidden.pow(2).mean(-1, keepdim=True) + self.eps).rsqrt()
        return self.weight * hidden * scale


@pytest.fixture
def exact() -> Callable[[Any], Any]:
    """`exact(model)`: the model in float64 throughout."""

    def make(model: Any) -> Any:
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if type(child).__name__.endswith("RMSNorm"):
                    setattr(module, name, ExactNorm(child))
        return model.double()

    return make
