"""Intervals and tests over seeds and users, corrections, agreement of reruns."""
