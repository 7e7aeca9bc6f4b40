"""Learns new tokens from pairs with transformers' Trainer and a mask on the matrix's gradient."""

import sys

import torch

from benchmarks.perf.new_tokens.ways.by_trainer import grown, train

source, pairs, out = sys.argv[1:]
tokenizer, model, new_ids = grown(source, pairs)
model.requires_grad_(False)
matrix = model.get_input_embeddings().weight
matrix.requires_grad_(True)
mask = torch.zeros(len(matrix), 1)
mask[new_ids] = 1.0
matrix.register_hook(lambda gradient: gradient * mask)
train(model, tokenizer, pairs)
model.save_pretrained(out)
tokenizer.save_pretrained(out)
