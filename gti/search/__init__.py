"""How items are ranked: beam search along the trie, exact scores, and each target's rank, counted."""
