"""`gti-bench run --engine ray`: cells as tasks of a Ray cluster, inputs there and records home."""
