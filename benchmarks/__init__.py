"""Datasets, backbones, assets, settings, the runner and the `gti-bench` command line."""
