"""New tokens learnt from pairs by three programs that a user might write, side by side."""
