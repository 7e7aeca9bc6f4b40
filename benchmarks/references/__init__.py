"""Recommenders that write no tokens: popularity, Markov, BM25, dense."""
