"""Grounded Token Initialization (GTI, arXiv 2604.02324), usable with any Hugging Face causal LM."""
