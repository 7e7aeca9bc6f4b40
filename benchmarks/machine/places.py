"""Where the project's own files lie: the one place that asks for the path of a module."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""The installed package `benchmarks`, with its data."""

ROOT = PACKAGE.parent
"""The clone; with an installed wheel the folder of installed packages, which holds no more."""

SETTINGS = PACKAGE / "settings"
SEMANTIC_IDS = PACKAGE / "semantic_ids"
NANO = PACKAGE / "nano"
PLAIN_ENGLISH = PACKAGE / "cell" / "plain_english.txt"
COMMITTED_RESULTS = ROOT / "leaderboard" / "results"
"""The committed board; part of the clone alone."""
