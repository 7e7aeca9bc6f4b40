"""Learns new tokens from pairs with `ground_tokens`."""

import json
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.perf.new_tokens.ways import settings
from gti import ground_tokens

source, pairs, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(source)
model = AutoModelForCausalLM.from_pretrained(source, dtype="float32")
ground_tokens(
    model,
    tokenizer,
    json.loads(Path(pairs).read_text(encoding="utf-8")),
    style="plain",
    passes=settings.PASSES,
    batch_size=settings.BATCH_SIZE,
    learning_rate=settings.LEARNING_RATE,
    dtype="float32",
)
model.save_pretrained(out)
tokenizer.save_pretrained(out)
