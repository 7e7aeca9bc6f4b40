"""The embedded CPU backbone: weights, tokenizer, and the code that made them."""
