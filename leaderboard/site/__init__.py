"""The leaderboard as a static directory of pages that open from disk (`gti-bench site`)."""
