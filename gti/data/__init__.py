"""What is learned from: datasets and their split, Semantic IDs, queries, random streams."""
