"""How items are ranked: beam search along the trie, exact scores, places, targets' NLL."""
