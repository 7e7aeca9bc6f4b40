"""The embedded CPU backbone `nano`: weights, tokenizer, model card."""
