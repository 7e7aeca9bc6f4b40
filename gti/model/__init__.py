"""The language model: its vocabulary, head, device, FLOPs, and diagnostics of its rows."""
