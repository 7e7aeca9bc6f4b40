"""Shared fixtures of the benchmarks' tests: an own cache, and real assets where they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.machine.assets import ASSETS, AssetError, asset_folder
from benchmarks.machine.cache import CACHE_VARIABLE, CacheError, cache_root, is_intact
from leaderboard.records.record import read_content


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for this test alone."""
    root = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(root))
    return root


@pytest.fixture(scope="session")
def lasting() -> Callable[[Path], dict[str, object]]:
    """What of a record must be equal whenever the cell runs again: all but times and places."""

    def read(path: Path) -> dict[str, object]:
        content = read_content(path)
        for volatile in ("cost", "environment", "code", "digest"):
            del content[volatile]
        for point in content["learning_curve"]:
            del point["seconds"]
        return content

    return read


@pytest.fixture(scope="session")
def movielens_folder() -> Path:
    """MovieLens-100K's files, fetched once into the machine's own cache (2 MB)."""
    try:
        return asset_folder("ml-100k")
    except (AssetError, CacheError) as error:
        pytest.skip(f"MovieLens-100K cannot be had here: {error}")


@pytest.fixture(scope="session")
def asset_in_cache() -> Callable[[str], Path]:
    """Skips a test unless a large asset is in the machine's cache already; never fetches one."""

    def folder(name: str) -> Path:
        asset = ASSETS[name]
        if not (is_intact(asset.folder, asset.about) or asset.placed_wheel.is_file()):
            pytest.skip(f"{asset.wheel} is not in the cache {cache_root()}")
        return asset_folder(name, offline=True)

    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT with CLS pooling, as sentence-transformers saves it."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    import torch
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = {
        w: i
        for i, w in enumerate(
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "war", "film"]
        )
    }
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    folder = tmp_path_factory.mktemp("encoder")
    plain = folder / "plain"
    BertModel(config).save_pretrained(plain)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(plain)
    from sentence_transformers.sentence_transformer import modules as parts

    body = parts.Transformer(str(plain), max_seq_length=8)
    pooling = parts.Pooling(16, pooling_mode="cls")
    sentence_transformers.SentenceTransformer(modules=[body, pooling], device="cpu").save(
        str(folder / "encoder")
    )
    return folder / "encoder"


QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of Qwen3's shape: chat template, tied head, more rows than tokens."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config
    from transformers.models.qwen3 import Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("qwen3")
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(["A long red dress of wool, worn once by its owner."] * 9, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>")
    tokenizer.chat_template = QWEN_TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer) + 7,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder
