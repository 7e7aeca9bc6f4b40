"""Grounded tokens in what people use next: other families, Trainer, TRL, PEFT, a saved folder.

Tiny random models; the libraries are the real ones.
"""

import peft
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from gti.model.vocabulary import embedding_matrices, read_rows
from gti.token_pairs import TokensError
from gti.tokens import ground_tokens

PAIRS = [
    ("<hammer>", "red hammer of steel"),
    ("<shirt>", "blue shirt"),
    (("<a>", "<b>"), "green door"),
    (("<a>", "<c>"), "garden house"),
]
SENTENCES = ["a <hammer> of steel", "the blue <shirt>", "<a><b> is green", "red <a><c> house"] * 4
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
    "initializer_range": 0.2,
}
FAMILIES = {
    "llama": {},
    "mistral": {},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"tie_word_embeddings": True},
    "gemma3_text": {"tie_word_embeddings": True},
    "phi3": {},
    "gpt2": {},
    "gpt_neox": {"num_key_value_heads": 4},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
}
PADDING = 13
"""Rows of the matrix beyond the tokenizer's, as many published models have them."""


def made(make_tokenizer, family="llama", **changes):
    """A tiny random model of `family`, its matrix padded, and a tokenizer."""
    tokenizer = make_tokenizer()
    named = SIZES | FAMILIES[family] | changes | {"vocab_size": len(tokenizer) + PADDING}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**named)).eval()
    return model, tokenizer


def logits_of(model, tokenizer, text="a <hammer> and <a><c>"):
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits


def rows_of(model, ids):
    return [read_rows(matrix, ids).clone() for matrix in embedding_matrices(model)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_grounded_saved_and_loaded(make_tokenizer, tmp_path, family):
    model, tokenizer = made(make_tokenizer, family)
    text = torch.arange(len(tokenizer))
    before = rows_of(model, text)
    report = ground_tokens(model, tokenizer, PAIRS, passes=30, learning_rate=0.05, dtype="float32")
    assert report.changed == ()
    assert all(check.after < check.before for check in report.checks)
    for old, new in zip(before, rows_of(model, text), strict=True):
        assert torch.equal(old, new)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    names = AutoTokenizer.from_pretrained(tmp_path)
    assert names.convert_tokens_to_ids(list(report.tokens)) == report.vocabulary.new_ids.tolist()
    assert torch.equal(logits_of(again, names), logits_of(model, tokenizer))


def sentencepiece_like():
    """As Llama's: blanks are ▁, one is put in front, what is unknown is read byte by byte."""
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    named = ["<s>", "</s>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(special_tokens=named, vocab_size=320, show_progress=False)
    core.train_from_iterator(SENTENCES, trainer)
    return core


def word_pieces():
    """As BERT's: lower case, pieces inside a word begin with ##."""
    core = Tokenizer(models.WordPiece(unk_token="<unk>"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    named = ["<s>", "</s>", "<unk>"]
    trainer = trainers.WordPieceTrainer(special_tokens=named, vocab_size=99, show_progress=False)
    core.train_from_iterator(SENTENCES, trainer)
    return core


@pytest.mark.parametrize(
    ("core", "bad"),
    [(sentencepiece_like, ["▁ham", " ham", "<0x41>"]), (word_pieces, ["##ham"])],
)
def test_other_tokenizers_keep_new_tokens_or_the_names_are_refused(core, bad):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core(), eos_token="</s>", bos_token="<s>")
    named = SIZES | {"vocab_size": len(tokenizer) + PADDING}
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING["llama"](**named)).eval()
    for name in bad:
        with pytest.raises(TokensError, match=r"writes it as|in the vocabulary already"):
            ground_tokens(model, tokenizer, [(name, "red"), ("<y>", "blue")])
    pairs = [("<Hammer>", "red hammer"), (("<a>", "<é>"), "green door"), (("<a>", "<B>"), "house")]
    report = ground_tokens(model, tokenizer, pairs, passes=20, learning_rate=0.05)
    ids = tokenizer("a <Hammer> of <a><é>", add_special_tokens=False)["input_ids"]
    assert [number for number in ids if number in report.vocabulary.new_ids] == [
        tokenizer.convert_tokens_to_ids(name) for name in ("<Hammer>", "<a>", "<é>")
    ]
    assert all(check.after < check.before for check in report.checks)


def test_a_head_that_cannot_be_done_is_refused_with_the_reason(make_tokenizer):
    tokenizer = make_tokenizer()
    sizes = SIZES | {"vocab_size": len(tokenizer), "num_key_value_heads": 4}
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING["phi"](**sizes))
    size = len(tokenizer)
    with pytest.raises(TokensError, match="a head with a bias is not supported"):
        ground_tokens(model, tokenizer, PAIRS)
    assert len(tokenizer) == size


def tokenized(tokenizer):
    return Dataset.from_list([dict(tokenizer(text)) for text in SENTENCES])


def test_the_trainer_goes_on_with_the_grounded_rows(make_tokenizer, tmp_path):
    model, tokenizer = made(make_tokenizer, "qwen3")
    report = ground_tokens(model, tokenizer, PAIRS, passes=2, dtype="float32")
    tokenizer.pad_token = tokenizer.eos_token
    grounded = rows_of(model, report.vocabulary.new_ids)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=12,
        per_device_train_batch_size=8,
        learning_rate=1e-3,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        seed=0,
    )
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    data = tokenized(tokenizer)
    trainer = Trainer(model, arguments, data_collator=collator, train_dataset=data)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    for old, new in zip(grounded, rows_of(model, report.vocabulary.new_ids), strict=True):
        assert (old != new).any(dim=1).all()  # each row took part
    trainer.save_model(str(tmp_path / "saved"))
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(logits_of(again, tokenizer), logits_of(model.eval(), tokenizer))


@pytest.mark.parametrize("tied", [True, False])
def test_an_adapter_keeps_the_grounded_rows_and_trains_them(make_tokenizer, tmp_path, tied):
    model, tokenizer = made(make_tokenizer, "llama", tie_word_embeddings=tied)
    report = ground_tokens(model, tokenizer, PAIRS, passes=2, dtype="float32")
    model.save_pretrained(tmp_path / "base")
    new_ids = report.vocabulary.new_ids
    grounded, plain = rows_of(model, new_ids), logits_of(model, tokenizer)
    text = torch.arange(len(tokenizer) - len(new_ids))
    words = rows_of(model, text)
    trained = {"embed_tokens": new_ids.tolist()}
    if not tied:
        trained["lm_head"] = new_ids.tolist()
    config = peft.LoraConfig(r=4, target_modules=["q_proj"], trainable_token_indices=trained)
    adapted = peft.get_peft_model(model, config)
    torch.testing.assert_close(logits_of(adapted, tokenizer), plain)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    batch = torch.tensor([tokenizer("a <hammer> of <a><b>")["input_ids"]])
    for _ in range(5):
        adapted(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    adapted.save_pretrained(str(tmp_path / "adapter"))
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    again = peft.PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    found = logits_of(again, tokenizer)
    torch.testing.assert_close(found, logits_of(adapted.eval(), tokenizer))
    assert not torch.allclose(found, plain, atol=1e-3)
    merged = again.merge_and_unload()
    torch.testing.assert_close(logits_of(merged, tokenizer), found, atol=1e-4, rtol=1e-4)
    hammer = report.tokens.index("<hammer>")
    for old, new in zip(grounded, rows_of(merged, new_ids), strict=True):
        assert not torch.equal(old[hammer], new[hammer])
    for old, new in zip(words, rows_of(merged, text), strict=True):
        assert torch.equal(old, new)


def test_sft_trainer_goes_on_with_the_grounded_rows(make_tokenizer, tmp_path):
    trl = pytest.importorskip("trl")  # it asks for a newer accelerate than we do
    model, tokenizer = made(make_tokenizer, "llama")
    report = ground_tokens(model, tokenizer, PAIRS, passes=2, dtype="float32")
    tokenizer.pad_token = tokenizer.eos_token
    rows, size = len(model.get_input_embeddings().weight), len(tokenizer)
    grounded = rows_of(model, report.vocabulary.new_ids)
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=3,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataset_text_field="text",
        max_length=64,
    )
    data = Dataset.from_list([{"text": text} for text in SENTENCES])
    trl.SFTTrainer(model, arguments, train_dataset=data, processing_class=tokenizer).train()
    assert len(tokenizer) == size  # nothing was added, grown or cut behind our back
    assert len(model.get_input_embeddings().weight) == rows
    for old, new in zip(grounded, rows_of(model, report.vocabulary.new_ids), strict=True):
        assert not torch.equal(old, new)
        assert float((old - new).norm() / old.norm()) < 0.1  # where grounding left them, nearly
