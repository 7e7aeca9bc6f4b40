"""Made-up honest records, in which `verify` finds nothing, for tests and timings."""
