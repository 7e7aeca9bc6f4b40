"""The reference `titles`: the same backbone, no new tokens, writes titles under a trie."""
