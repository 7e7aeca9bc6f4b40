"""Item vectors to Semantic IDs: residual k-means, RQ-VAE, Sinkhorn, and reports on the codes."""
