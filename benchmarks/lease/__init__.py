"""A short lease of a GPU machine without network: what to copy there, one command, and home."""
