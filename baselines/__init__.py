"""One file per baseline or control; `baselines.registry` finds them by name."""
