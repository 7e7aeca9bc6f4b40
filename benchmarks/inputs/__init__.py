"""What a cell reads: settings, data, Semantic IDs, encoders, backbones, each checked by hash."""
