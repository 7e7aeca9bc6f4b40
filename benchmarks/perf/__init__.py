"""Timings of the exact speed-ups beside the plain ways they replace: `pytest benchmarks/perf`."""
