"""How items are ranked: beam search along the trie, exact scores, counts of target ranks."""
