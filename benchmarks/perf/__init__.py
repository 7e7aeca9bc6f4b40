"""Timings of speed-ups beside the plain ways (`pytest benchmarks/perf`); error rates; kills."""
