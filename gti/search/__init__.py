"""How items are ranked: beam search along the trie, and exact scores of every item."""
