"""The machine: what it is, its cache, pinned downloads, and what is told of progress."""
