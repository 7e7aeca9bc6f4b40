"""`gti-bench tune`: rates by one rule for all methods, on validation."""
