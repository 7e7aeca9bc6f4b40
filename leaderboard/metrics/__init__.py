"""Counts of ranks to Recall, NDCG and MRR: all users, slices, graded relevance."""
