"""`gti-bench rerun`: a recorded cell again, from the record alone."""
