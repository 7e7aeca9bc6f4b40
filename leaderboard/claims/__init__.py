"""Numbers reported elsewhere, and what ours say of them."""
