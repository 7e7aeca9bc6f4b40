"""Boards as text: one typed table, written for the terminal, Markdown, LaTeX, CSV, JSON, HTML."""
