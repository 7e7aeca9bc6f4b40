"""Records in the formats of others: Every Eval Ever, and evaluation results of the Hub."""
