"""Counts to metrics: Recall, NDCG, MRR over all users and over slices, graded relevance."""
