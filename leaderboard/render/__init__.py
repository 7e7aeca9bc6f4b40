"""Boards as text: tables for the terminal, Markdown, LaTeX, CSV, JSON and the page."""
