"""How the model learns: grounding, fine-tuning, batches, and the proof of which rows moved."""
