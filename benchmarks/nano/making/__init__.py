"""The code that made `nano`: text, tokenizer, training, evaluation. Not part of the wheel."""
