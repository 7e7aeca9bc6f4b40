"""What the model reads: wordings, histories, grounding pairs and LC-Rec's alignment tasks."""
