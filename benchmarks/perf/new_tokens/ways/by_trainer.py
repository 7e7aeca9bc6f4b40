"""What both programs with transformers' Trainer have to write beside their own lines."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

from benchmarks.perf.new_tokens.ways import settings


def grown(source: str, pairs: str) -> tuple[Any, Any, list[int]]:
    """Tokenizer and model with the new tokens, whose rows are the mean of the others; their ids."""
    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype="float32")
    tokens = [token for token, _ in json.loads(Path(pairs).read_text(encoding="utf-8"))]
    before = len(tokenizer)
    tokenizer.add_tokens(tokens)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    matrix = model.get_input_embeddings().weight
    with torch.no_grad():
        matrix[before:] = matrix[:before].mean(dim=0)
    return tokenizer, model, tokenizer.convert_tokens_to_ids(tokens)


def train(model: Any, tokenizer: Any, pairs: str) -> None:
    """Trains what requires a gradient on the pairs, in both directions."""
    rows = []
    for token, text in json.loads(Path(pairs).read_text(encoding="utf-8")):
        for prompt, answer in (
            (f"Title: {text}\nItem:", token),
            (f"Item:{token}\nTitle:", f" {text}{tokenizer.eos_token}"),
        ):
            asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            said = tokenizer(answer, add_special_tokens=False)["input_ids"]
            ids = [tokenizer.bos_token_id, *asked, *said]
            labels = [-100] * (1 + len(asked)) + ids[1 + len(asked) :]
            rows.append({"input_ids": ids, "labels": labels, "attention_mask": [1] * len(ids)})
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        num_train_epochs=settings.PASSES,
        per_device_train_batch_size=settings.BATCH_SIZE,
        learning_rate=settings.LEARNING_RATE,
        lr_scheduler_type="cosine",
        warmup_steps=settings.WARMUP_SHARE,
        weight_decay=0.0,
        adam_beta1=settings.BETAS[0],
        adam_beta2=settings.BETAS[1],
        max_grad_norm=settings.CLIP_NORM,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    collator = DataCollatorForSeq2Seq(tokenizer)
    Trainer(model, arguments, data_collator=collator, train_dataset=rows).train()
