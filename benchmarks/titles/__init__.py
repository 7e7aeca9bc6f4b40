"""The reference `titles`: the same backbone without new tokens, which writes titles."""
