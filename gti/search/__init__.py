"""How items are ranked: beam search along the trie, exact scores, target ranks, targets' NLL."""
