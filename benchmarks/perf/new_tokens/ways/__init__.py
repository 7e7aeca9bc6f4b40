"""Each a program of its own: `python PROGRAM MODEL PAIRS OUT`, with one table of settings."""
