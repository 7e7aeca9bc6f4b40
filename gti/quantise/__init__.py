"""Item vectors to Semantic IDs, a module a quantiser: residual k-means, RQ-VAE; code reports."""
