"""`gti-bench run`: which cells are missing, and running them side by side."""
