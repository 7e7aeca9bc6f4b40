"""`gti-bench plan`: time, memory and disk of cells before they run."""
