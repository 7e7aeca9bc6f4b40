"""Learns new tokens from pairs with PEFT's TrainableTokens and transformers' Trainer."""

import sys
from typing import Any

from peft import TrainableTokensConfig, get_peft_model

from benchmarks.perf.new_tokens.ways.by_trainer import grown, train

source, pairs, out = sys.argv[1:]
tokenizer, model, new_ids = grown(source, pairs)
config = TrainableTokensConfig(token_indices=new_ids, target_modules=["embed_tokens"])
adapted: Any = get_peft_model(model, config)
train(adapted, tokenizer, pairs)
adapted.merge_and_unload().save_pretrained(out)
tokenizer.save_pretrained(out)
